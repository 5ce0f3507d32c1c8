package committee

import (
	"context"
	"database/sql"
	"fmt"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// schema of a node's database. records are the machine's, apart per committee; rounds bind a round to one plan; logs
// are the newest states of the operator's logs that the node has seen.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS records (
		committee BLOB NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
		PRIMARY KEY (committee, name)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS rounds (
		task TEXT NOT NULL, round INTEGER NOT NULL, plan BLOB NOT NULL,
		PRIMARY KEY (task, round)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS logs (task TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL) STRICT`,
	`CREATE TABLE IF NOT EXISTS horizon (task TEXT PRIMARY KEY, round INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT`,
	`INSERT OR IGNORE INTO meta SELECT 'format', CASE WHEN EXISTS (SELECT 1 FROM rounds) THEN '1' ELSE '2' END`,
	`PRAGMA secure_delete = ON`, // an erased round key is overwritten
}

// format of a node's directory; 1 had neither coins nor shards.
const format = "2"

// restore reads what the node promised.
func (n *Node) restore(ctx context.Context) error {
	n.members = map[plan.Digest]*aggregation.Member{}
	n.rounds = map[roundKey]boundRound{}
	n.horizon = map[string]uint64{}
	n.logs = map[string]ledger.Witness{}
	var version string
	if _, err := n.db.Row(ctx, `SELECT value FROM meta WHERE name = 'format'`, nil, &version); err != nil {
		return err
	}
	if version != format {
		return fmt.Errorf("the node's directory has format %s, this program reads format %s: let the program that wrote it finish its rounds, and start this one in a fresh directory with the same identity.pem", version, format)
	}
	err := n.db.Query(ctx, `SELECT task, round, plan FROM rounds`, nil, func(rows *sql.Rows) error {
		var k roundKey
		var number int64
		var b []byte
		if err := rows.Scan(&k.task, &number, &b); err != nil {
			return err
		}
		k.round = uint64(number)
		p, err := plan.Parse(b)
		if err != nil {
			return fmt.Errorf("round %s/%d: %w", k.task, k.round, err)
		}
		n.rounds[k] = bind(p, b)
		return nil
	})
	if err != nil {
		return err
	}
	if err := n.restoreLogs(ctx); err != nil {
		return err
	}
	return n.db.Query(ctx, `SELECT task, round FROM horizon`, nil, func(rows *sql.Rows) error {
		var task string
		var number int64
		err := rows.Scan(&task, &number)
		n.horizon[task] = uint64(number)
		return err
	})
}

func bind(p plan.Plan, canonical []byte) boundRound {
	return boundRound{plan: p, digest: plan.Signed{Bytes: canonical}.Digest(), committee: committeeDigest(p.Committee)}
}

func (n *Node) restoreMember(ctx context.Context, committee plan.Digest, roster []ed25519Key) (*aggregation.Member, error) {
	var records []aggregation.Record
	err := n.db.Query(ctx, `SELECT name, value FROM records WHERE committee = ?`, []any{committee[:]}, func(rows *sql.Rows) error {
		var r aggregation.Record
		err := rows.Scan(&r.Key, &r.Value)
		records = append(records, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return aggregation.RestoreMember(n.setup(roster), records)
}

// save writes a machine's effects, durably. If it cannot, the machine has moved and its answer must not leave: the
// machine is dropped and made again from what is durable.
func (n *Node) save(ctx context.Context, committee plan.Digest, records []aggregation.Record, also func(*sql.Tx) error) error {
	if len(records) == 0 && also == nil {
		return nil
	}
	err := n.db.Update(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
		for _, r := range records {
			var err error
			if r.Value == nil {
				_, err = tx.Exec(`DELETE FROM records WHERE committee = ? AND name = ?`, committee[:], r.Key)
			} else {
				_, err = tx.Exec(`INSERT OR REPLACE INTO records VALUES (?, ?, ?)`, committee[:], r.Key, r.Value)
			}
			if err != nil {
				return err
			}
		}
		if also != nil {
			return also(tx)
		}
		return nil
	})
	if err != nil {
		delete(n.members, committee)
		n.log.Error("a promise could not be stored, so it was not given", "error", err)
	}
	return err
}

// advance forgets rounds of a task that lie far behind the one that opens.
func (n *Node) advance(ctx context.Context, task string, round uint64) error {
	if round < keep || round-keep <= n.horizon[task] {
		return nil
	}
	horizon := round - keep
	err := n.db.Update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT OR REPLACE INTO horizon VALUES (?, ?)`, task, int64(horizon)); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM rounds WHERE task = ? AND round < ?`, task, int64(horizon))
		return err
	})
	if err != nil {
		return err
	}
	n.horizon[task] = horizon
	rosters := map[plan.Digest][]ed25519Key{}
	for k, b := range n.rounds {
		rosters[b.committee] = b.plan.Committee
		if k.task == task && k.round < horizon {
			delete(n.rounds, k)
		}
	}
	for committee, roster := range rosters {
		m, err := n.member(committee, roster)
		if err != nil {
			return err
		}
		if err := n.save(ctx, committee, m.Forget(task, horizon), nil); err != nil {
			return err
		}
	}
	return nil
}
