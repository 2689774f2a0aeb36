-- Another archive in every call.
\set n random(1, 1000000000000)
SELECT * FROM zipmodule.publish('series-' || :n::bigint % 1000, 'archive-' || :n::bigint, '[{"source":"series/42/cover.jpg"},{"source":"series/42/01-opening.mp3","destination":"audio"},{"source":"series/42/02-second.mp3","destination":"audio"},{"source":"series/42/booklet.pdf","destination":"documents","name":"booklet.pdf"},{"source":"series/42/licence.txt"}]', '{"title":"An album"}');
