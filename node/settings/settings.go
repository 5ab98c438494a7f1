// Package settings reads folders of settings: one file NAME.yaml for each thing that a site
// has set up, such as a pull.
//
// A [Kind] is what the files of one folder are for. It finds and reads them; what they have
// to say is for the package whose settings they are. Nothing is kept: a change of a file
// holds from the next [Kind.Read] on.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Suffix ends the name of a file of settings.
const Suffix = ".yaml"

const (
	maxFiles = 1000    // of a folder
	maxSize  = 1 << 20 // bytes of a file
)

// Kind is what the files of a folder are settings of.
type Kind struct {
	noun string

	// ErrName says that a name cannot be that of such a thing.
	ErrName error
}

// Of returns a kind by its noun with the article, such as "a pull".
func Of(noun string) Kind {
	return Kind{noun, errors.New(noun + "'s name has 1 to 40 lower-case letters, digits, - and _, and begins with a letter or a digit")}
}

var names = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// Check returns [Kind.ErrName] for a name that a thing cannot have.
func (k Kind) Check(name string) error {
	if !names.MatchString(name) {
		return k.ErrName
	}
	return nil
}

// Names returns the names of the files of a folder in alphabetical order, also those that
// [Kind.Check] refuses, so that the site is told of them. A folder that is not there has none;
// one with over 1,000 is refused.
func Names(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []string
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), Suffix)
		if f.IsDir() || !is {
			continue
		}
		if len(list) == maxFiles {
			return nil, fmt.Errorf("%s has over %d files of settings", dir, maxFiles)
		}
		list = append(list, name)
	}
	return list, nil
}

// Read reads the settings called name into a struct with yaml tags and returns the text of
// their file. An empty file leaves the struct as it is. Fields that the struct lacks, a second
// document and a file over 1 MiB are refused. The error is [Kind.ErrName], or
// [fs.ErrNotExist] if there is no such file. Its text may be shown to programs: it holds no
// place on this machine, no value of the file and no name of a type.
func (k Kind) Read(dir, name string, into any) ([]byte, error) {
	if err := k.Check(name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, name+Suffix))
	if err != nil {
		return nil, unplaced(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, unplaced(err)
	}
	if len(text) > maxSize {
		return nil, errors.New("the file is over 1 MiB")
	}
	return text, k.decode(text, into)
}

func (k Kind) decode(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return k.plain(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file has more than one YAML document")
	}
	return nil
}

// unplaced is an error of a file without the place of that.
func unplaced(err error) error {
	if at, is := errors.AsType[*fs.PathError](err); is {
		return fmt.Errorf("%s: %w", filepath.Base(at.Path), at.Err)
	}
	return err
}

// unknown is how the library puts it that a struct lacks a field, with the name of the type.
var unknown = regexp.MustCompile(` not found in type \S+$`)

// misfit is how it puts it that a value does not fit, with the value and the type.
var misfit = regexp.MustCompile(`(?s)cannot unmarshal .* into (\S+)$`)

// wanted are the types of settings in words.
var wanted = map[string]string{
	"string": "a text", "bool": "true or false", "int": "a whole number", "[]string": "a list, such as [a, b]",
	"time.Time": "a time, such as 2020-01-01T00:00:00Z",
}

// plain puts an error of the library on one line, in words of the site.
func (k Kind) plain(err error) error {
	wrong, is := errors.AsType[*yaml.TypeError](err)
	if !is {
		return errors.New("it is no valid yaml: " + strings.TrimPrefix(err.Error(), "yaml: "))
	}
	lines := make([]string, len(wrong.Errors))
	for i, line := range wrong.Errors {
		line = unknown.ReplaceAllString(line, " is no setting of "+k.noun)
		if at := misfit.FindStringSubmatchIndex(line); at != nil {
			want, is := wanted[line[at[2]:at[3]]]
			if !is {
				want = "settings, each NAME: VALUE"
			}
			line = line[:at[0]] + "want " + want
		}
		lines[i] = line
	}
	return errors.New(strings.Join(lines, "; "))
}
