-- Claims of workers that cap their lanes follow one another: until the end of the transaction. A row, because anybody may take
-- an advisory lock.
SELECT FROM zipmodule.lane_lock FOR UPDATE
