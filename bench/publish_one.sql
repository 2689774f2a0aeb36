-- The same archive in every call.
SELECT * FROM zipmodule.publish('series-1', 'archive-1', '[{"source":"series/42/cover.jpg"},{"source":"series/42/01-opening.mp3","destination":"audio"},{"source":"series/42/02-second.mp3","destination":"audio"},{"source":"series/42/booklet.pdf","destination":"documents","name":"booklet.pdf"},{"source":"series/42/licence.txt"}]', '{"title":"An album"}');
