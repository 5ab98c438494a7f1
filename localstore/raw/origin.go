package raw

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

// Origin says where content comes from. Together with the day it makes the path of the
// file, see DESIGN.md, and nothing more: no file is found by it.
type Origin struct {
	// Sender is who brought it: an interface, a pull, a person. The path has a keyed hash
	// of it, so any text will do, and who knows the text finds all files of one sender.
	Sender string

	// Source is the kind of source, such as fhir or hl7v2. Defaults to other.
	Source string

	// Name is what the sender calls the file. Its ending is that of the path if it is a
	// known one.
	Name string
}

// sources are the kinds of sources that a path may have: lower-case letters, digits and
// hyphens, up to 32.
var sources = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// endings are what a path may end in. Others could say something of a patient.
var endings = map[string]bool{
	"csv": true, "gz": true, "hl7": true, "json": true, "ndjson": true, "parquet": true, "tsv": true, "txt": true, "xml": true, "xpt": true, "zip": true,
}

// filesFolder is the folder of all files but those that an older program has put.
const filesFolder = "files"

// place returns where the file of the content with digest d goes that comes from o at
// the time now: {user_id_hash_prefix}/{user_id}/{source_type}/{yyyy}/{mm}/{dd}/{file_uuid}.{ext}.
func (s *Store) place(d Digest, o Origin, now time.Time) string {
	user := hex.EncodeToString(s.hash("sender", []byte(o.Sender))[:16])
	source := o.Source
	if !sources.MatchString(source) {
		source = "other"
	}
	ending := strings.ToLower(strings.TrimPrefix(path.Ext(o.Name), "."))
	if !endings[ending] {
		ending = "bin"
	}
	return path.Join(filesFolder, user[:2], user, source, now.UTC().Format("2006/01/02"), s.uuid(d)+"."+ending)
}

// uuid names the file of the content with digest d, as a UUID of version 8 (RFC 9562)
// that nobody without the store's secret can compute.
func (s *Store) uuid(d Digest) string {
	b := s.hash("file", d[:])[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// uuidOf returns the UUID in the path of a file.
func uuidOf(file string) string {
	name := path.Base(file)
	return strings.TrimSuffix(name, path.Ext(name))
}

// hash is keyed by the store's secret, and different for each purpose.
func (s *Store) hash(purpose string, of []byte) []byte {
	h := hmac.New(sha256.New, s.secret)
	_, _ = h.Write([]byte(purpose + "\x00")) // a hash never fails
	_, _ = h.Write(of)
	return h.Sum(nil)
}
