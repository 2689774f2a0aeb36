-- $1 series, $2 archive. Returns whether it was failed, cancelled or waiting.
SELECT zipmodule.retry($1, $2)
