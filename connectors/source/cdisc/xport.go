package cdisc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/source/fhir"
)

// Headers of a SAS transport file, which is a library of members (data sets) in records of
// 80 bytes. Those of version 8 and 9 differ in their names, and in long names of variables.
//
// Source: SAS Institute, TS-140 (version 5) and "Record layout of a SAS version 8 or 9 data
// set in SAS transport format".
const (
	headerRecord = "HEADER RECORD*******"
	libraryV5    = headerRecord + "LIBRARY HEADER RECORD!!!!!!!"
	libraryV8    = headerRecord + "LIBV8   HEADER RECORD!!!!!!!"
	memberV5     = headerRecord + "MEMBER  HEADER RECORD!!!!!!!"
	memberV8     = headerRecord + "MEMBV8  HEADER RECORD!!!!!!!"
	namesV5      = headerRecord + "NAMESTR HEADER RECORD!!!!!!!"
	namesV8      = headerRecord + "NAMSTV8 HEADER RECORD!!!!!!!"
	rowsV5       = headerRecord + "OBS     HEADER RECORD!!!!!!!"
	rowsV8       = headerRecord + "OBSV8   HEADER RECORD!!!!!!!"
)

const (
	recordLength = 80
	maxVariables = 10_000 // SAS writes at most 9,999
	maxLabels    = 32_768 // records of long labels behind the variables of a member
)

// memberName is the name of the first member of a library that begins with head.
func memberName(head []byte) string {
	const at, length = 5*recordLength + 8, 8 // behind the library's three headers and two of the member
	if len(head) < at+length {
		return ""
	}
	return strings.TrimSpace(string(head[at : at+length]))
}

// xport reads a SAS transport file.
type xport struct {
	br     *bufio.Reader
	out    *reader
	read   int64 // bytes
	v8     bool
	maxRow int
	fields []variable
	length int // of a row, in bytes
}

// variable is where a row holds the value of a variable.
type variable struct {
	at, length int
	numeric    bool
}

// errMember says that another member begins.
var errMember = errors.New("cdisc: next member")

func (r *reader) xport(br *bufio.Reader) error {
	x := &xport{br: br, out: r, maxRow: r.opts.MaxRecord}
	first, err := x.record()
	if err != nil {
		return err
	}
	x.v8 = bytes.HasPrefix(first, []byte(libraryV8))
	for range 2 { // who made the file, and when
		if _, err := x.record(); err != nil {
			return err
		}
	}
	if _, err := x.record(); err != nil { // the first member's header
		return err
	}
	for {
		if err := x.member(); err != nil {
			return err
		}
		switch err := x.rows(); {
		case errors.Is(err, errMember):
		default:
			return err
		}
	}
}

// record reads 80 bytes. They are valid until the next read.
func (x *xport) record() ([]byte, error) {
	record, err := x.br.Peek(recordLength)
	if err != nil {
		return nil, err
	}
	_, _ = x.br.Discard(recordLength)
	x.read += recordLength
	return record, nil
}

func malformed(detail string) error {
	return &fhir.Problem{Rule: RuleMalformedXPORT, Detail: detail}
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

// rows reads the rows of a member. Blanks after the last fill its record up; a row of only
// blanks is the same and says nothing.
func (x *xport) rows() error {
	row := make([]byte, x.length)
	cells := make([]string, len(x.fields))
	for number := 1; ; number++ {
		if err := x.atMember(); err != nil {
			return err
		}
		n, err := io.ReadFull(x.br, row)
		x.read += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if len(bytes.TrimRight(row[:n], " ")) > 0 || x.read%recordLength != 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		case err != nil:
			return err
		case len(bytes.TrimRight(row, " ")) == 0:
			number--
			continue
		}
		x.cut(string(row), cells)
		if err := x.out.row(number, number, cells); err != nil {
			return err
		}
	}
}

// cut takes the values out of a row, of numbers as decimals. A missing one is empty,
// whichever of the 28 kinds it is.
func (x *xport) cut(row string, cells []string) {
	for i, v := range x.fields {
		cell := row[v.at : v.at+v.length]
		if !v.numeric {
			cells[i] = strings.TrimRight(cell, " \x00")
			continue
		}
		cells[i] = ""
		if value, missing := fromIBM([]byte(cell)); !missing {
			cells[i] = decimal(value)
		}
	}
}

// atMember returns errMember, and reads the header, if another member begins: at the next
// record, with nothing before it but the blanks that fill the last one up.
func (x *xport) atMember() error {
	fill := int(-x.read%recordLength+recordLength) % recordLength
	head, err := x.br.Peek(fill + len(memberV5))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(head) < fill || len(bytes.TrimRight(head[:fill], " ")) > 0 {
		return nil
	}
	if header := head[fill:]; !bytes.Equal(header, []byte(memberV5)) && !bytes.Equal(header, []byte(memberV8)) {
		return nil
	}
	if _, err := x.br.Discard(fill); err != nil {
		return err
	}
	x.read += int64(fill)
	if _, err := x.record(); err != nil {
		return err
	}
	return errMember
}

// truncated is err, as the end of the input where there is more to come.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
