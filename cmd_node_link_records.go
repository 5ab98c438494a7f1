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
