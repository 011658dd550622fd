<?php
// The blog: /posts asks the database, /hits counts in memcached, everything else needs nothing.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: application/json');
try {
    if ($path === '/posts') {
        $db = new PDO(
            sprintf('mysql:host=%s;dbname=%s', getenv('DB_HOST'), getenv('DB_NAME')),
            getenv('DB_USER'),
            getenv('DB_PASSWORD'),
            [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 3]
        );
        $titles = $db->query('SELECT title FROM posts ORDER BY id')->fetchAll(PDO::FETCH_COLUMN);
        echo json_encode(['posts' => $titles]);
    } elseif ($path === '/hits') {
        $cache = new Memcached();
        $cache->addServer(getenv('MEMCACHED_HOST'), (int) getenv('MEMCACHED_PORT'));
        $cache->add('hits', 0);
        $hits = $cache->increment('hits');
        if ($hits === false) {
            http_response_code(503);
        }
        echo json_encode(['hits' => $hits, 'why' => $cache->getResultMessage()]);
    } else {
        echo json_encode(['status' => 'ok']);
    }
} catch (Throwable $error) {
    http_response_code(500);
    echo json_encode(['error' => $error->getMessage()]);
}
