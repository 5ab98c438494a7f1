# Turns what `go test -bench` prints into JSON, one measurement a line. A result
# line is a name, the number of iterations, then pairs of a value and its unit.
function quote(text) {
	gsub(/[\\"]/, "\\\\&", text)
	return "\"" text "\""
}

/^pkg: / { package = substr($0, 6) }
/^cpu: / { cpu = substr($0, 6) }

/^Benchmark/ && NF >= 4 && NF % 2 == 0 {
	name = substr($1, 10)
	cores = 1
	if (match(name, /-[0-9]+$/)) {
		cores = substr(name, RSTART + 1)
		name = substr(name, 1, RSTART - 1)
	}
	for (i = 3; i < NF; i += 2) {
		printf "{\"name\":%s,\"value\":%s,\"unit\":%s,\"iterations\":%s,\"package\":%s,\"cores\":%s,\"cpu\":%s,\"commit\":%s}\n",
			quote(name), $i, quote($(i + 1)), $2, quote(package), cores, quote(cpu), quote(commit)
	}
}
