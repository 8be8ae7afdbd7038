-- A state file of schema 1, as it was first released. Never edited.
PRAGMA application_id = 1718383464;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
CREATE TABLE text (
    digest TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE unit (
    name TEXT PRIMARY KEY,
    digest TEXT NOT NULL REFERENCES text (digest),
    target TEXT NOT NULL,
    generation INTEGER NOT NULL,
    hash TEXT NOT NULL,
    description TEXT,
    requirements TEXT NOT NULL,
    installs INTEGER NOT NULL,
    bound_to TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_digest ON unit (digest);
CREATE TABLE placement (
    unit TEXT PRIMARY KEY,
    machine TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE machine (
    host TEXT PRIMARY KEY,
    machine_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    address TEXT NOT NULL,
    metadata TEXT NOT NULL,
    last_good REAL NOT NULL,
    silent_since REAL,
    missed INTEGER NOT NULL,
    failure TEXT NOT NULL,
    lost INTEGER NOT NULL,
    seen TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES (1, '0123456789abcdef0123456789abcdef', 41);
INSERT INTO text VALUES ('86943ac9f3754cb90f8dd38bf6da7b0cad074592', x'5b536572766963655d0a4578656353746172743d2f62696e2f747275650a');
INSERT INTO unit VALUES ('web@1.service', '86943ac9f3754cb90f8dd38bf6da7b0cad074592', 'launched', 3, '295470dac0b7ad6fb83dd8f09bc4573f9ca34968', 'A web server', '{"metadata":[["region",["eu"]]],"version":1}', 1, '["db.service"]');
INSERT INTO placement VALUES ('web@1.service', 'm1', 'least loaded');
INSERT INTO machine VALUES ('h1', 'm1', 'b1', '10.1.1.1', '{"region":"eu"}', 1700000000.5, 1700000060.5, 2, 'timed out', 1, '[["web@1.service","launched","loaded","active","running"]]');
INSERT INTO event VALUES (1, 1700000000.5, 'ann', 'start', 'web@1.service', 'launched');
PRAGMA user_version = 1;
COMMIT;
