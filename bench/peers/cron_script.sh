#!/usr/bin/env bash
# What many a cron entry is: psql lists what is to be done, zip makes it, sync makes it last, psql marks it done.
#
#   bench/peers/cron_script.sh SOCKET DATABASE CONTENT OUT
set -euo pipefail
sql() { psql -X -q -At -h "$1" -U postgres -d "$2" -v ON_ERROR_STOP=1 -c "$3" </dev/null; }
cd "$3"
sql "$1" "$2" "SELECT id, archive, folder FROM todo WHERE NOT done ORDER BY id" | while IFS='|' read -r id archive folder; do
  zip -q -6 -j "$4/tmp/$archive.zip" "$folder"/*
  sync "$4/tmp/$archive.zip"
  mv "$4/tmp/$archive.zip" "$4/public/$archive.zip"
  sync "$4/public"
  sql "$1" "$2" "UPDATE todo SET done = true WHERE id = $id"
done
