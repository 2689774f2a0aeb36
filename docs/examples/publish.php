<?php
// php publish.php SERIES ARCHIVE SOURCE...
// Host, database, user and password come from PGHOST, PGDATABASE, PGUSER, PGPASSWORD or ~/.pgpass.
[, $series, $archive] = $argv;
$files = array_map(fn ($source) => ['source' => $source], array_slice($argv, 3));

$db = new PDO('pgsql:');  // 'pgsql:host=db.example.org;dbname=zipmodule', $user, $password
$db->beginTransaction();
try {
    // ... what else belongs to the publish: it is committed with it, or not at all
    $publish = $db->prepare('SELECT job_id, revision FROM zipmodule.publish(?, ?, ?)');
    $publish->execute([$series, $archive, json_encode($files, JSON_THROW_ON_ERROR)]);
    $job = $publish->fetch(PDO::FETCH_ASSOC);
    $db->commit();
    echo "published $series/$archive: job $job[job_id], revision $job[revision]\n";
} catch (PDOException $error) {
    $db->rollBack();
    if ($error->getCode() !== '22023') {
        throw $error;
    }
    // The list or an argument is wrong; the message names which, and the rule.
    fwrite(STDERR, 'refused: ' . strtok($error->errorInfo[2], "\n") . "\n");
    exit(1);
}
