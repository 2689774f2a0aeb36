-- Returns i and held of each.
SELECT i, held FROM judged
