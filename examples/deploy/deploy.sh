#!/bin/bash
# Three servers of one task on one PostgreSQL, behind a load balancer, with a committee of three and a few devices, all on
# this machine: one script, which ends what it started.
#
#   examples/deploy/deploy.sh [--devices 12] [--rounds 1] [--kill] [--keep]
#
# --kill kills the server that runs the rounds (kill -9) in the middle of the first one. PostgreSQL is the distribution's
# (apt install postgresql), started as an ordinary user with a database of its own; the load balancer is haproxy if it is
# installed, or the 60 lines of balance.go.
set -euo pipefail
devices=12 rounds=1 kill=no keep=no base=7700
while [ $# -gt 0 ]; do
	case $1 in
	--devices) devices=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--kill) kill=yes ;;
	--keep) keep=yes ;;
	*) sed -n '2,10s/^# \?//p' "$0"; exit 2 ;;
	esac
	shift
done
cd "$(dirname "$0")/../.."
work=$(mktemp -d /tmp/tutti-deploy-XXXXXX)
chmod 755 "$work"
pids=()
as() { "$@"; }
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
	user=nobody
	id postgres >/dev/null 2>&1 && user=postgres
	as() { runuser -u $user -- "$@"; }
fi
finish() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	wait 2>/dev/null || true
	as "$pg/pg_ctl" -D "$work/pg/data" -m immediate stop >/dev/null 2>&1 || true
	if [ $keep = yes ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
say() { printf '%5ss  %s\n' "$SECONDS" "$*"; }

# PostgreSQL
pg=$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -1 || true)")
[ -x "$pg/initdb" ] || { echo "deploy: PostgreSQL is not installed (apt install postgresql)"; exit 1; }
trap finish EXIT
mkdir "$work/pg"
[ "$(id -u)" = 0 ] && chown $user "$work/pg"
as "$pg/initdb" -D "$work/pg/data" -A trust -U tutti >"$work/initdb.log"
as "$pg/pg_ctl" -D "$work/pg/data" -l "$work/pg/log" -w -o "-k $work/pg -p $((base + 99)) -c listen_addresses=127.0.0.1" start >/dev/null
export TUTTI_DB="postgres://tutti@127.0.0.1:$((base + 99))/postgres?sslmode=disable"
say "PostgreSQL answers on port $((base + 99))"

# the task: its keys, certificates, committee and tokens
CGO_ENABLED=0 go build -o "$work/tutti" .
tutti=$work/tutti
$tutti dev-certs --out "$work/certs" >/dev/null
mkdir "$work/films"
{ echo movieId,title,genres; for f in $(seq 24); do echo "$f,Film $f (19$((70 + f))),Drama"; done; } >"$work/films/movies.csv"
{ echo userId,movieId,rating,timestamp; for p in $(seq "$devices"); do for k in 0 1 2 3; do echo "$p,$(((5 * p + 3 * k) % 24 + 1)),4.0,$((1700000000 + k))"; done; done; } >"$work/films/ratings.csv"
nodes=()
for i in 1 2 3; do nodes+=(--node "127.0.0.1:$((base + 50 + i))=$($tutti committee key --dir "$work/node$i")"); done
$tutti server init --dir "$work/server1" --catalogue "$work/films" --goal "$devices" --tokens "$devices" --rounds "$rounds" --collect 1m --privacy-off "${nodes[@]}" >/dev/null
for i in 2 3; do # a replica is the same keys and files in a directory of its own
	mkdir "$work/server$i"
	cp -r "$work/server1"/{keys,setup.json,task.json} "$work/server$i/"
done
for i in 1 2 3; do
	$tutti committee --dir "$work/node$i" --listen "127.0.0.1:$((base + 50 + i))" --task "$work/server1/task.json" --certs "$work/certs" >"$work/node$i.log" 2>&1 &
	pids+=($!)
done
servers=()
for i in 1 2 3; do
	$tutti server --dir "$work/server$i" --listen "127.0.0.1:$((base + i))" --certs "$work/certs" --catalogue "$work/films" >"$work/server$i.log" 2>&1 &
	servers[i]=$!
	pids+=($!)
done

# the load balancer
if command -v haproxy >/dev/null; then
	cat >"$work/haproxy.cfg" <<-CFG
		defaults
		    mode tcp
		    timeout connect 1s
		    timeout client 10m
		    timeout server 10m
		    option redispatch
		listen tutti
		    bind 127.0.0.1:$base
		$(for i in 1 2 3; do echo "    server s$i 127.0.0.1:$((base + i)) check inter 500"; done)
	CFG
	haproxy -f "$work/haproxy.cfg" >"$work/balance.log" 2>&1 &
else
	CGO_ENABLED=0 go build -o "$work/balance" ./examples/deploy
	"$work/balance" -listen "127.0.0.1:$base" 127.0.0.1:$((base + 1)) 127.0.0.1:$((base + 2)) 127.0.0.1:$((base + 3)) >"$work/balance.log" 2>&1 &
fi
pids+=($!)
say "three servers, three committee nodes and a load balancer on 127.0.0.1:$base are up"

token=0
while read -r t; do
	token=$((token + 1))
	GOMAXPROCS=1 $tutti device --dir "$work/device$token" --task "$work/server1/task.json" --server "127.0.0.1:$base" --ca "$work/certs/ca.pem" \
		--token "$t" --catalogue "$work/films" --history "$work/films" --person "$token" >"$work/device$token.log" 2>&1 &
	pids+=($!)
done <"$work/server1/tokens.txt"
say "$devices devices are started"

driver() { grep -l "runs the rounds now" "$work"/server?.log 2>/dev/null | head -1 | sed 's/.*server\(.\).log/\1/'; }
if [ $kill = yes ]; then
	until [ "$(grep -l contributed "$work"/device*.log 2>/dev/null | wc -l)" -ge 3 ]; do sleep 0.1; done
	d=$(driver)
	kill -9 "${servers[d]}"
	say "server $d, which ran the round, is killed"
fi
until grep -q "all rounds are run" "$work"/server?.log; do
	sleep 0.5
	[ $SECONDS -lt 600 ] || { tail -n 5 "$work"/server?.log; echo "deploy: not done after 10 minutes"; exit 1; }
done
for i in 1 2 3; do
	kill -INT "${servers[i]}" 2>/dev/null || true
	wait "${servers[i]}" 2>/dev/null || true
	sed "s/^/server $i: /" "$work/server$i.log"
done
$tutti report --dir "$work/server1" --out "$work/report" >/dev/null
$tutti verify "$work/report/report.json"
