P=target/release/bench-client
S=scripts/cpu-by-stage.py
one() { echo "$1 $(python3 $S $P --duration 4 --warmup 1 "${@:2}")"; }
for r in 1 2 3; do
 for n in 1 8 16 40 120; do one "ws-$n" --inflight $n; done
 one http --connector sqlite_rpc --inflight 1
 for c in 500 2000 8000; do one "conn-$c" --inflight 1 --concurrency $c; done
done
for a in 1000 100000 1000000 10000000; do for s in 0 0.99 1.5; do one "acc-$a-$s" --inflight 40 --accounts $a --alpha $s; done; done
