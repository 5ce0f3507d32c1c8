package store

// placeIndex belongs to the schema, but its column is not in a directory of format 1, which is refused first.
const placeIndex = `CREATE UNIQUE INDEX IF NOT EXISTS devices_by_place ON devices (task, place)`

// schema is version 2 of the database. WITHOUT ROWID keeps the rows of a round together.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT`,
	`INSERT OR IGNORE INTO meta VALUES ('schema', '2')`,

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
}
