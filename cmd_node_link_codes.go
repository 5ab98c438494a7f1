package main

import (
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/linkage"
)

func newLinkEncode() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "encode FILE",
		Short: "Turn the rows of a CSV file into codes that are alike for like people",
		Long: `Write a code for each row of FILE: a Bloom filter of 1024 bits that is alike for people
whose identifiers are alike, so that names with typing errors are found. Send the codes,
never the key, to a party that compares them with those of another site.

Codes are pseudonyms that can be attacked: who has many of them and knows how frequent
names are can guess some. --flip inverts bits at random and --salt keeps years of birth
apart, at a cost in pairs; see deploy/docs/linkage.md before you send any. Both sites
need the same --key, --salt and --flip, and each its own --noise.
` + linkFields,
		Example: `  trialmesh node link encode patients.csv --fields given,family,birth,postcode --key codes.key --out north.codes
  trialmesh node link encode patients.csv --fields given,family,birth,town --key codes.key --flip 0.05 --noise own.key --out north.codes`,
		Args: args(cobra.ExactArgs(1)),
		RunE: linkEncode,
	}
	cmd.Flags().String("key", "", "file with the sites' common key (required)")
	cmd.Flags().Bool("salt", false, "keep years of birth apart; rows without a date get no code")
	cmd.Flags().Float64("flip", 0, "probability with which a bit is inverted, 0 to 0.2")
	cmd.Flags().String("noise", "", "file with this site's own key, needed with --flip")
	cmd.Flags().String("out", "-", "new file for the codes, - for standard output")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // the flag was defined six lines above
	}
	return addRecords(cmd)
}

func linkEncode(cmd *cobra.Command, paths []string) error {
	keyPath, _ := cmd.Flags().GetString("key")
	noisePath, _ := cmd.Flags().GetString("noise")
	out, _ := cmd.Flags().GetString("out")
	var c linkage.Coding
	c.Salt, _ = cmd.Flags().GetBool("salt")
	c.Flip, _ = cmd.Flags().GetFloat64("flip")
	var err error
	if c.Key, err = readSeed(cmd, keyPath); err != nil {
		return err
	}
	if noisePath != "" {
		if c.Noise, err = readSeed(cmd, noisePath); err != nil {
			return err
		}
		if c.Noise == c.Key {
			return usageError{errors.New("--noise: is the common key: make one of this site's own")}
		}
	}
	encoder, err := linkage.NewEncoder(c)
	if err != nil {
		return usageError{err}
	}
	records, err := readRecords(cmd, paths[0])
	if err != nil {
		return err
	}
	rows, without := [][]string{{"row", "code"}}, 0
	for i := range records {
		code := encoder.Encode(&records[i])
		if code.IsZero() {
			without++
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), code.Text()})
	}
	if without > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %d of %d rows have too little for a code\n", without, len(records))
	}
	return fillOutput(cmd, out, 0o600, func() ([]byte, error) { return csvText(rows) })
}

func newLinkMatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "match FILE [FILE]",
		Short: "Compare the codes or the tokens of two sites",
		Long: `Compare two files of node link encode, or two of node link tokens, or one with itself, and
write the pairs of rows. Codes are a pair if they are as alike as --threshold (Dice, 0.70
unless you flip bits, then 0.65), tokens if one is equal. No key is needed, and whoever
compares should have none.`,
		Example: `  trialmesh node link match north.codes south.codes --threshold 0.75 --one-to-one
  trialmesh node link match north.tokens south.tokens --out pairs.csv`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: linkMatch,
	}
	cmd.Flags().Float64("threshold", 0.70, "least similarity of codes, above 0.5 and at most 1")
	addPairs(cmd)
	return cmd
}

func linkMatch(cmd *cobra.Command, paths []string) error {
	threshold, _ := cmd.Flags().GetFloat64("threshold")
	if !(threshold > 0.5 && threshold <= 1) {
		return usageError{errors.New("--threshold: above 0.5 and at most 1")}
	}
	var headers []string
	codes, tokens := make([][]linkage.Code, 2), make([][][]linkage.Token, 2)
	for i, path := range paths {
		rows, err := readPseudonyms(cmd, path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		headers = append(headers, strings.Join(rows[0], ","))
		if headers[i] == "row,code" {
			codes[i], err = parseCodes(rows[1:])
		} else {
			tokens[i], err = parseTokens(rows[1:])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if len(headers) == 2 && headers[0] != headers[1] {
		return fmt.Errorf("%s has %q and %s has %q: make both in the same way", paths[0], headers[0], paths[1], headers[1])
	}
	if headers[0] != "row,code" {
		pairs, skipped := linkage.ExactTokens(tokens[0], tokens[1])
		return writePairs(cmd, pairs, skipped, nil)
	}
	pairs, err := linkage.Match(cmd.Context(), codes[0], codes[1], threshold)
	if err != nil {
		return err
	}
	return writePairs(cmd, pairs, 0, nil)
}

// readPseudonyms reads a file of codes or tokens: a header and the rows in order.
func readPseudonyms(cmd *cobra.Command, path string) ([][]string, error) {
	src, err := openTable(cmd, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	rows, err := csv.NewReader(src).ReadAll()
	if err != nil {
		return nil, errors.New("not a file of node link encode or node link tokens")
	}
	if len(rows) == 0 || len(rows[0]) < 2 || rows[0][0] != "row" {
		return nil, errors.New("not a file of node link encode or node link tokens: its header is another")
	}
	for i, row := range rows[1:] {
		if row[0] != strconv.Itoa(i+1) {
			return nil, fmt.Errorf("line %d is not of row %d: keep the file as it was made", i+2, i+1)
		}
	}
	return rows, nil
}

func parseCodes(rows [][]string) ([]linkage.Code, error) {
	codes := make([]linkage.Code, len(rows))
	for i, row := range rows {
		var err error
		if codes[i], err = linkage.ParseCode(row[1]); err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
	}
	return codes, nil
}

func parseTokens(rows [][]string) ([][]linkage.Token, error) {
	tokens := make([][]linkage.Token, len(rows))
	for i, row := range rows {
		tokens[i] = make([]linkage.Token, len(row)-1)
		for k, text := range row[1:] {
			raw, err := hex.DecodeString(text)
			if err != nil || len(raw) != 0 && len(raw) != len(linkage.Token{}) {
				return nil, fmt.Errorf("row %d: not a token", i+1)
			}
			copy(tokens[i][k][:], raw)
		}
	}
	return tokens, nil
}
