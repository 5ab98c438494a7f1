package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/source/wearable"
)

// addWearable adds the flags that say whose the answers of a wearable are.
func addWearable(cmd *cobra.Command) {
	f := cmd.Flags()
	f.String("patient", "", "id of the FHIR Patient whose wearable the files are of")
	f.String("wearable", "", "maker of the files with --patient: fitbit, oura, garmin, google, withings or openmhealth")
	f.String("timezone", "", "time zone of the wearable's account, for example Europe/Berlin")
	f.String("units", "", "units that Fitbit was asked for: metric, us or uk")
}

// wearableOf returns the header that the flags make, and false without them.
func wearableOf(cmd *cobra.Command) (h wearable.Header, given bool, err error) {
	for name, field := range map[string]*string{"patient": &h.Patient, "wearable": &h.Wearable, "timezone": &h.Timezone, "units": &h.Units} {
		*field, _ = cmd.Flags().GetString(name)
		given = given || cmd.Flags().Changed(name)
	}
	if given && (h.Patient == "" || h.Wearable == "") {
		return h, false, usageError{errors.New("--patient, --wearable: both are needed to say whose the files are")}
	}
	return h, given, nil
}

// openUpload opens a file to send: as it is, or as the one payload of a document that
// says whose it is.
func openUpload(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	h, given, err := wearableOf(cmd)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil || !given {
		return f, err
	}
	answer, err := plain(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(h.Open()), answer, strings.NewReader(wearable.Close)), f}, nil
}

// plain returns what f holds, uncompressed.
func plain(f io.ReadSeeker) (io.Reader, error) {
	zipped, err := gzip.NewReader(f)
	if err == nil {
		return zipped, nil
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}
