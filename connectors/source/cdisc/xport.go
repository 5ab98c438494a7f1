package cdisc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
		if err := x.rows(); !errors.Is(err, errMember) {
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
