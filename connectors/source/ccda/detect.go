package ccda

import (
	"bytes"
	"regexp"
)

var root = regexp.MustCompile(`<(?:[A-Za-z_][\w.-]*:)?ClinicalDocument[\s/>]`)

var anyElement = regexp.MustCompile(`<[A-Za-z_]`)

// Detect reports whether an input that begins with head, uncompressed, is a clinical
// document, or may be one: XML of which only a declaration and comments can be seen.
func Detect(head []byte) bool {
	head = bytes.TrimLeft(utf8Head(head), " \t\r\n")
	if !bytes.HasPrefix(head, []byte("<")) {
		return false
	}
	return root.Match(head) || !anyElement.Match(head) && (bytes.HasPrefix(head, []byte("<?xml")) || bytes.HasPrefix(head, []byte("<!--")))
}
