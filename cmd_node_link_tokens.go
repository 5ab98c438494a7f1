package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/federation/oprf"
	"github.com/trialmesh/trialmesh/node/linkage"
)

// addRecipes adds the flags of the two commands that make tokens of a file.
func addRecipes(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("recipes", "id,names-birth,sounds-birth", "what tokens are made of, commas between, the same at all sites")
	cmd.Flags().String("secret", "", "file of this site's secret of this question (required)")
	if err := cmd.MarkFlagRequired("secret"); err != nil {
		panic(err) // the flag was defined on the line above
	}
	return addRecords(cmd)
}

// readTokenRecords reads what tokens are made of.
func readTokenRecords(cmd *cobra.Command, path string) ([]linkage.Record, []linkage.Recipe, error) {
	text, _ := cmd.Flags().GetString("recipes")
	by, err := linkage.ParseRecipes(text)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--recipes: %w", err)}
	}
	records, err := readRecords(cmd, path)
	return records, by, err
}

func newLinkBlind() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "blind FILE",
		Short: "Ask for the tokens of a CSV file, step 1 of 3",
		Long: `Write the question by which a site gets tokens for the rows of FILE: tokens are equal for
equal people at all sites, and nobody can make one without the party that holds the key.
Send the question to that party. It learns how many values there are and nothing of them.
--secret is a new file that step 3 needs; never send it.

Recipes are id, names-birth, sounds-birth, names-address and birth-address.
` + linkFields,
		Example: `  trialmesh node link blind patients.csv --fields given,family,birth,id --secret own.secret --out north.question`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, _ := cmd.Flags().GetString("out")
			secret, _ := cmd.Flags().GetString("secret")
			records, by, err := readTokenRecords(cmd, args[0])
			if err != nil {
				return err
			}
			var seed [32]byte
			if _, err := io.ReadFull(rand.Reader, seed[:]); err != nil {
				return err
			}
			if err := writeOutput(cmd, secret, []byte(hex.EncodeToString(seed[:])+"\n"), 0o600); err != nil {
				return err
			}
			return fillOutput(cmd, out, 0o600, func() ([]byte, error) {
				var text bytes.Buffer
				err := linkage.BlindTokens(&text, seed, records, by)
				return text.Bytes(), err
			})
		},
	}
	cmd.Flags().String("out", "-", "new file for the question, - for standard output")
	return addRecipes(cmd)
}

func newLinkEvaluate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evaluate QUESTION",
		Short: "Answer a site's question for tokens, step 2 of 3",
		Long: `Answer a question of node link blind with the key of node link key. For the party that holds
the key, which should have no records and never see the tokens: with tokens, the key
lets it try out people. --most is how many values this question may have: allow each
site about as many as its patients times the recipes, over all its questions, and no
more, or it can ask about people who were never there. It prints how many there were.`,
		Example: `  trialmesh node link evaluate north.question --key tokens.key --most 150000 --out north.answer`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, _ := cmd.Flags().GetString("key")
			most, _ := cmd.Flags().GetInt("most")
			out, _ := cmd.Flags().GetString("out")
			if most < 1 {
				return usageError{errors.New("--most: at least 1")}
			}
			seed, err := readSeed(cmd, path)
			if err != nil {
				return err
			}
			key, err := linkage.NewTokenKey(seed)
			if err != nil {
				return err
			}
			question, err := openTable(cmd, args[0])
			if err != nil {
				return err
			}
			defer question.Close()
			values := 0
			if err := fillOutput(cmd, out, 0o600, func() ([]byte, error) {
				var text bytes.Buffer
				var err error
				values, err = linkage.EvaluateTokens(&text, question, rand.Reader, key, most)
				return text.Bytes(), err
			}); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, map[string]any{"values": values})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d values\n", values)
			return err
		},
	}
	cmd.Flags().String("key", "", "file with the key (required)")
	cmd.Flags().Int("most", 0, "the most values of the question (required)")
	cmd.Flags().String("out", "", "new file for the answer (required)")
	for _, name := range []string{"key", "most", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags were defined just above
		}
	}
	return cmd
}

func newLinkTokens() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens FILE",
		Short: "Make the tokens of a CSV file from the answer, step 3 of 3",
		Long: `Make tokens for the rows of FILE from the answer of node link evaluate: the same file,
fields, recipes and secret as in step 1. An answer that is not of the public key is
refused. Send the tokens to a party that compares them and does not hold the key.
` + linkFields,
		Example: `  trialmesh node link tokens patients.csv --fields given,family,birth,id --secret own.secret \
    --answer north.answer --public 5ab3… --out north.tokens`,
		Args: args(cobra.ExactArgs(1)),
		RunE: linkTokens,
	}
	cmd.Flags().String("answer", "", "file with the answer (required)")
	cmd.Flags().String("public", "", "public key, in hexadecimal, that all sites were given (required)")
	cmd.Flags().String("out", "-", "new file for the tokens, - for standard output")
	for _, name := range []string{"answer", "public"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags were defined just above
		}
	}
	return addRecipes(cmd)
}

func linkTokens(cmd *cobra.Command, paths []string) error {
	answerPath, _ := cmd.Flags().GetString("answer")
	publicText, _ := cmd.Flags().GetString("public")
	secret, _ := cmd.Flags().GetString("secret")
	out, _ := cmd.Flags().GetString("out")
	raw, err := hex.DecodeString(publicText)
	if err != nil {
		return usageError{errors.New("--public: not hexadecimal")}
	}
	public, err := oprf.ParsePublicKey(oprf.Verifiable, raw)
	if err != nil {
		return usageError{fmt.Errorf("--public: %w", err)}
	}
	seed, err := readSeed(cmd, secret)
	if err != nil {
		return err
	}
	records, by, err := readTokenRecords(cmd, paths[0])
	if err != nil {
		return err
	}
	answer, err := os.Open(answerPath)
	if err != nil {
		return err
	}
	defer answer.Close()
	tokens, err := linkage.FinishTokens(answer, seed, public, records, by)
	if err != nil {
		return fmt.Errorf("%s: %w", answerPath, err)
	}
	return fillOutput(cmd, out, 0o600, func() ([]byte, error) { return csvText(tokenRows(tokens, by)) })
}

// tokenRows writes tokens as a file: a row for each record, a column for each recipe.
func tokenRows(tokens [][]linkage.Token, by []linkage.Recipe) [][]string {
	header := []string{"row"}
	for _, recipe := range by {
		header = append(header, recipe.String())
	}
	rows := [][]string{header}
	for i, list := range tokens {
		row := []string{strconv.Itoa(i + 1)}
		for _, token := range list {
			text := ""
			if token != (linkage.Token{}) {
				text = hex.EncodeToString(token[:])
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}
