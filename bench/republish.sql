-- One of 5,000 archives that exist.
\set n random(0, 4999)
SELECT * FROM zipmodule.publish('series-' || :n::bigint % 100, 'archive-' || :n::bigint, '[{"source":"series/42/cover.jpg"},{"source":"series/42/01-opening.mp3","destination":"audio"},{"source":"series/42/02-second.mp3","destination":"audio"},{"source":"series/42/booklet.pdf","destination":"documents","name":"booklet.pdf"},{"source":"series/42/licence.txt"}]', '{"title":"An album"}');
