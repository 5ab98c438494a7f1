package main

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/node/linkage"
)

func newNodeLinkRecords() *cobra.Command {
	return group("link", "Find the records of one person, here and at other sites",
		newLinkPairs(), newLinkKey(), newLinkEncode(), newLinkBlind(), newLinkEvaluate(), newLinkTokens(), newLinkMatch())
}

// linkFields is what the help of each command that reads identifiers says of --fields.
const linkFields = `
--fields says which columns hold what: given, family, birth, sex, house, street, address,
town, region, postcode, id (a national identifier), phone. Write given=first_name where
the column has another name. Dates with slashes need --dates.`

// addRecords adds the flags of commands that read identifiers.
func addRecords(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("fields", "", "fields with their columns, commas between (required)")
	cmd.Flags().String("dates", "", "order of dates with slashes: dmy or mdy")
	if err := cmd.MarkFlagRequired("fields"); err != nil {
		panic(err) // the flag was defined two lines above
	}
	return cmd
}

// readRecords reads the identifiers of a CSV file, plain or gzip.
func readRecords(cmd *cobra.Command, path string) ([]linkage.Record, error) {
	text, _ := cmd.Flags().GetString("fields")
	dates, _ := cmd.Flags().GetString("dates")
	columns, err := linkage.ParseColumns(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("--fields: %w", err)}
	}
	order, known := map[string]linkage.DateOrder{"": linkage.NoOrder, "dmy": linkage.DayFirst, "mdy": linkage.MonthFirst}[dates]
	if !known {
		return nil, usageError{errors.New("--dates: want dmy or mdy")}
	}
	src, err := openTable(cmd, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	r, err := unzipped(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	records, err := linkage.ReadCSV(r, columns, order)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// unzipped reads what a gzip file holds, and other files as they are.
func unzipped(r io.Reader) (io.Reader, error) {
	var head [2]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), r)
	if head == [2]byte{0x1f, 0x8b} {
		return gzip.NewReader(whole)
	}
	return whole, nil
}

func newLinkPairs() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pairs FILE [FILE]",
		Short: "Find the rows of one or two CSV files that are about one person",
		Long: `Compare the rows of two CSV files of this site, or of one with each other, and write the
pairs that are about one person: row numbers (the first after the header is 1) and how
sure it is. No value of a row is written. How often true and false pairs agree on each
field is learned from the files (Fellegi and Sunter), so they need a hundred rows; with
--exact rows are paired that agree on a recipe without a difference:
id, names-birth, sounds-birth, names-address, birth-address.
` + linkFields,
		Example: `  trialmesh node link pairs patients.csv --fields given,family,birth=dob,postcode,id=nhs_number
  trialmesh node link pairs lab.csv ehr.csv --fields given,family,birth --one-to-one --out pairs.csv
  trialmesh node link pairs patients.csv --fields given,family,birth,id --exact id,names-birth`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: linkPairs,
	}
	cmd.Flags().Float64("threshold", linkage.DefaultThreshold, "least probability of a pair, above 0 and at most 1")
	cmd.Flags().String("exact", "", "pair by these recipes instead, commas between")
	addPairs(cmd)
	return addRecords(cmd)
}

// addPairs adds the flags of commands that write pairs.
func addPairs(cmd *cobra.Command) {
	cmd.Flags().Bool("one-to-one", false, "give no row two partners; for two lists in which each person is once")
	cmd.Flags().String("out", "-", "new file for the result, - for standard output")
}

func linkPairs(cmd *cobra.Command, paths []string) error {
	threshold, _ := cmd.Flags().GetFloat64("threshold")
	exact, _ := cmd.Flags().GetString("exact")
	if !(threshold > 0 && threshold <= 1) {
		return usageError{errors.New("--threshold: above 0 and at most 1")}
	}
	var by []linkage.Recipe
	if exact != "" {
		var err error
		if by, err = linkage.ParseRecipes(exact); err != nil {
			return usageError{fmt.Errorf("--exact: %w", err)}
		}
	}
	lists := make([][]linkage.Record, 2)
	for i, path := range paths {
		var err error
		if lists[i], err = readRecords(cmd, path); err != nil {
			return err
		}
	}
	if by != nil {
		pairs, skipped := linkage.Exact(lists[0], lists[1], by)
		return writePairs(cmd, pairs, skipped, nil)
	}
	found, err := linkage.Link(cmd.Context(), lists[0], lists[1], threshold)
	if err != nil {
		return err
	}
	return writePairs(cmd, found.Pairs, found.Skipped, &found.Model)
}

// linkedPair is a pair as --json prints it: rows, of which the first is 1.
type linkedPair struct {
	A     int     `json:"a"`
	B     int     `json:"b"`
	Score float64 `json:"score"`
}

// writePairs writes pairs, and warns of values that too many rows share.
func writePairs(cmd *cobra.Command, pairs []linkage.Pair, skipped int, model *linkage.Model) error {
	if oneToOne, _ := cmd.Flags().GetBool("one-to-one"); oneToOne {
		pairs = linkage.OneToOne(pairs)
	}
	if skipped > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %d values were passed over, each of which too many rows share: look for placeholders\n", skipped)
	}
	out, _ := cmd.Flags().GetString("out")
	return fillOutput(cmd, out, 0o600, func() ([]byte, error) {
		if wantsJSON(cmd) {
			list := make([]linkedPair, len(pairs))
			for i, p := range pairs {
				list[i] = linkedPair{p.A + 1, p.B + 1, p.Score}
			}
			text, err := json.Marshal(map[string]any{"pairs": list, "passedOver": skipped, "model": model})
			return append(text, '\n'), err
		}
		rows := [][]string{{"a", "b", "score"}}
		for _, p := range pairs {
			rows = append(rows, []string{strconv.Itoa(p.A + 1), strconv.Itoa(p.B + 1), strconv.FormatFloat(p.Score, 'f', 4, 64)})
		}
		return csvText(rows)
	})
}

func csvText(rows [][]string) ([]byte, error) {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	err := w.WriteAll(rows)
	return text.Bytes(), err
}

func newLinkKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make a key for codes, or for evaluating tokens",
		Long: `Make 32 random bytes in FILE (hexadecimal, mode 0600), which must not exist, and print the
public key by which sites check that tokens were made with it. A key for codes is shared
by the sites that encode and kept from who compares; a key for tokens stays with the one
party that evaluates. Use one key for one linkage.`,
		Example: `  trialmesh node link key tokens.key
  trialmesh node link key codes.key`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var seed [32]byte
			if _, err := io.ReadFull(rand.Reader, seed[:]); err != nil {
				return err
			}
			key, err := linkage.NewTokenKey(seed)
			if err != nil {
				return err
			}
			if err := writeOutput(cmd, args[0], []byte(hex.EncodeToString(seed[:])+"\n"), 0o600); err != nil {
				return err
			}
			public := hex.EncodeToString(key.Public().Bytes())
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"public": public})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), public)
			return err
		},
	}
}

// readSeed reads a file that link key made.
func readSeed(cmd *cobra.Command, path string) (seed [32]byte, err error) {
	text, err := readSecret(cmd, path)
	if err != nil {
		return seed, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(seed) {
		return seed, fmt.Errorf("%s: want 32 bytes in hexadecimal, as node link key makes them", path)
	}
	return [32]byte(raw), nil
}

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
