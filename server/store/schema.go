package store

// The schema is made of numbered steps, forward only. Statements are SQLite's; sqlOf makes PostgreSQL's of them.
// WITHOUT ROWID keeps the rows of a round together.
const (
	firstFormat  = 2
	newestFormat = 3
)

// steps[i] leads from format i+firstFormat-1 to the next; the first makes an empty database.
var steps = [][]string{format2, format3}

var format2 = []string{
	`CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT`,

	// A round has one row for each of its groups; those but the first come when the configuration is fixed.
	// state and version repeat what durable holds, for compare-and-set and for people.
	`CREATE TABLE IF NOT EXISTS rounds (
		task TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, kind TEXT NOT NULL,
		state INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, freed INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL, durable BLOB NOT NULL,
		plan BLOB NOT NULL, signature BLOB NOT NULL, config BLOB, certificate BLOB, result BLOB,
		created INTEGER NOT NULL, changed INTEGER NOT NULL,
		PRIMARY KEY (task, round, shard)) STRICT, WITHOUT ROWID`,

	// One row for a round, whatever its number of groups. rho is "num/den"; empty where noise is off. state: 1 reserved, 2 charged, 3 freed, 4 held (abandoned, no certificate).
	`CREATE TABLE IF NOT EXISTS budget (
		task TEXT NOT NULL, round INTEGER NOT NULL, rho TEXT NOT NULL, state INTEGER NOT NULL,
		PRIMARY KEY (task, round)) STRICT, WITHOUT ROWID`,

	// A device is in one group of a round. state: 1 staged, 2 counted, 3 late, 4 refused by the committee, 5 of unsound key shares, 6 too long.
	`CREATE TABLE IF NOT EXISTS uploads (
		task TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, device BLOB NOT NULL, digest BLOB NOT NULL,
		slot INTEGER NOT NULL, header INTEGER NOT NULL, state INTEGER NOT NULL, millis INTEGER NOT NULL,
		PRIMARY KEY (task, round, device)) STRICT, WITHOUT ROWID`,
	`CREATE INDEX IF NOT EXISTS uploads_by_device ON uploads (task, device, state)`,

	`CREATE TABLE IF NOT EXISTS drops (
		task TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
		PRIMARY KEY (task, round, shard, reason)) STRICT, WITHOUT ROWID`,

	`CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT`,
	`CREATE TABLE IF NOT EXISTS hashes (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT`,

	`CREATE TABLE IF NOT EXISTS versions (
		task TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL, version BLOB NOT NULL, signature BLOB NOT NULL,
		PRIMARY KEY (task, number)) STRICT, WITHOUT ROWID`,

	// Central noise that is correlated over rounds: the newest stream of a task, written with the round that drew its last row.
	`CREATE TABLE IF NOT EXISTS streams (task TEXT PRIMARY KEY, stream BLOB NOT NULL, state BLOB NOT NULL) STRICT, WITHOUT ROWID`,

	`CREATE TABLE IF NOT EXISTS tokens (
		hash BLOB PRIMARY KEY, task TEXT NOT NULL, created INTEGER NOT NULL, device BLOB) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS devices (
		task TEXT NOT NULL, device BLOB NOT NULL, public BLOB NOT NULL, enrolled INTEGER NOT NULL, place INTEGER NOT NULL,
		PRIMARY KEY (task, device)) STRICT, WITHOUT ROWID`,
	`CREATE UNIQUE INDEX IF NOT EXISTS devices_by_place ON devices (task, place)`,
}

// format3: several replicas, and what an operator sees.
var format3 = []string{
	// until: microseconds since 1970 by the database's clock; 0: given back.
	`CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, token INTEGER NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID`,

	// seq: 1, 2, ... in the order in which the uploads of a group became durable. replica: which one has the vector.
	// raw: the header, where replicas share the database. want: the driver's word; folded: the replica's partial holds it.
	`ALTER TABLE uploads ADD COLUMN seq INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE uploads ADD COLUMN replica TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE uploads ADD COLUMN raw BLOB`,
	`ALTER TABLE uploads ADD COLUMN want INTEGER NOT NULL DEFAULT 0`,
	`ALTER TABLE uploads ADD COLUMN folded INTEGER NOT NULL DEFAULT 0`,
	`UPDATE uploads SET seq = (SELECT count(*) FROM uploads o WHERE o.task = uploads.task AND o.round = uploads.round AND o.shard = uploads.shard AND o.slot <= uploads.slot)`,
	`CREATE INDEX uploads_by_seq ON uploads (task, round, shard, seq)`,

	`CREATE TABLE partials (
		task TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, replica TEXT NOT NULL, version INTEGER NOT NULL, sum BLOB NOT NULL,
		PRIMARY KEY (task, round, shard, replica)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE sums (
		task TEXT NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, sum BLOB NOT NULL,
		PRIMARY KEY (task, round, shard)) STRICT, WITHOUT ROWID`,

	`CREATE TABLE kept (task TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (task, name)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE tasks (task TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE aliases (
		task TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, percent INTEGER NOT NULL, since INTEGER NOT NULL, note TEXT NOT NULL,
		PRIMARY KEY (task, name)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE happenings (
		task TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, round INTEGER NOT NULL, shard INTEGER NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL,
		PRIMARY KEY (task, seq)) STRICT, WITHOUT ROWID`,

	blobTables[0], blobTables[1],
}

// blobTables keep blobs where they are kept in the database; parts of blobPart bytes. A restore makes them first.
var blobTables = []string{
	`CREATE TABLE IF NOT EXISTS blobs (digest BLOB PRIMARY KEY, size INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS blob_parts (digest BLOB NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (digest, part)) STRICT`,
}

func createBlobs(tx *Tx) error {
	for _, statement := range blobTables {
		if _, err := tx.Exec(tx.d.create(statement)); err != nil {
			return err
		}
	}
	return nil
}
