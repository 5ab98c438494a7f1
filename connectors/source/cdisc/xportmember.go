package cdisc

import (
	"bytes"
	"encoding/binary"
	"io"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// memberName is the name of the first member of a library that begins with head.
func memberName(head []byte) string {
	const at, length = 5*recordLength + 8, 8 // behind the library's three headers and two of the member
	if len(head) < at+length {
		return ""
	}
	return strings.TrimSpace(string(head[at : at+length]))
}

// member reads the headers of a member, behind its first.
func (x *xport) member() error {
	if _, err := x.record(); err != nil { // DSCRPTR
		return err
	}
	named, err := x.record()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(string(named[8:16]))
	if x.v8 {
		name = strings.TrimSpace(string(named[8:40]))
	}
	if _, err := x.record(); err != nil { // when it was changed
		return err
	}
	names, err := x.record()
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(names, []byte(namesV5)) && !bytes.HasPrefix(names, []byte(namesV8)) {
		return malformed("no list of variables behind the name of the data set")
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(names[48:58])))
	if err != nil || n < 1 || n > maxVariables {
		return malformed("want 1 to 10,000 variables")
	}
	t := table{name: name}
	x.fields, x.length = x.fields[:0], 0
	for range n {
		column, v, err := x.variable()
		if err != nil {
			return err
		}
		t.columns, x.fields = append(t.columns, column), append(x.fields, v)
	}
	if err := x.behind(); err != nil {
		return err
	}
	return x.out.begin(t)
}

// variable reads one NAMESTR of 140 bytes.
func (x *xport) variable() (string, variable, error) {
	const size = 140
	var b [size]byte
	if _, err := io.ReadFull(x.br, b[:]); err != nil {
		return "", variable{}, truncated(err)
	}
	x.read += size
	v := variable{
		numeric: binary.BigEndian.Uint16(b[0:]) == 1,
		length:  int(binary.BigEndian.Uint16(b[4:])),
		at:      int(binary.BigEndian.Uint32(b[84:])),
	}
	name := strings.TrimRight(string(b[8:16]), " \x00")
	if long := strings.TrimRight(string(b[88:120]), " \x00"); x.v8 && long != "" {
		name = long
	}
	switch {
	case v.numeric && (v.length < 2 || v.length > 8), v.length == 0:
		return "", v, malformed("a number has 2 to 8 bytes, a text 1 to 32,767")
	case v.at != x.length:
		return "", v, malformed("the variables are not in the order of a row")
	case x.length+v.length > x.maxRow:
		return "", v, &fhir.Problem{Rule: fhir.RuleTooLarge, Detail: "a row is over the record limit"}
	}
	x.length += v.length
	return strings.ToUpper(name), v, nil
}

// behind reads on to the rows: past the padding of the variables and long labels.
func (x *xport) behind() error {
	if rest := x.read % recordLength; rest > 0 {
		n, err := x.br.Discard(int(recordLength - rest))
		x.read += int64(n)
		if err != nil {
			return truncated(err)
		}
	}
	for range maxLabels {
		record, err := x.record()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(record, []byte(rowsV5)) || bytes.HasPrefix(record, []byte(rowsV8)) {
			return nil
		}
		if !x.v8 {
			break
		}
	}
	return malformed("no rows behind the variables")
}
