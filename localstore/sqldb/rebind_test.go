package sqldb

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRebind(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"SELECT 1":                            "SELECT 1",
		"a = ? AND b IN (?, ?)":               "a = $1 AND b IN ($2, $3)",
		"'it''s ?' || ?":                      "'it''s ?' || $1",
		`"odd?name" = ?`:                      `"odd?name" = $1`,
		"? -- why?\n, ?":                      "$1 -- why?\n, $2",
		"? /* a ? b */ ?":                     "$1 /* a ? b */ $2",
		"? /* never closed ?":                 "$1 /* never closed ?",
		"'never closed ?":                     "'never closed ?",
		"5 - ? / ?":                           "5 - $1 / $2",
		"? --":                                "$1 --",
		"?'":                                  "$1'",
		"SELECT '\u00e9?\u00e9', ? -- \u00e9": "SELECT '\u00e9?\u00e9', $1 -- \u00e9",
	} {
		require.Equal(t, want, rebind(Postgres, in))
	}
	require.Equal(t, "a = +? AND b IN (+?, +?) -- why?", rebind(SQLite, "a = ? AND b IN (?, ?) -- why?"))
}

// TestSQLitePlansAStatementOnce counts what the compiler asks for while statements run again
// with other values, some of which it would like to know.
func TestSQLitePlansAStatementOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := Open(ctx, Config{DSN: "sqlite:" + filepath.Join(t.TempDir(), "test.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	compiled := 0
	conn, err := db.writer.Conn(ctx)
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(driver any) error {
		driver.(*sqlite3.SQLiteConn).RegisterAuthorizer(func(int, string, string, string) int { compiled++; return sqlite3.SQLITE_OK })
		return nil
	}))
	require.NoError(t, conn.Close())
	statements := []string{
		"SELECT a.x FROM a JOIN b ON b.x = a.x WHERE a.x > ? AND b.y = ? ORDER BY a.x",
		"SELECT x FROM a WHERE y = ? AND x < ? ORDER BY x DESC LIMIT 1", "SELECT x FROM a WHERE y LIKE ? AND x <> ?", "SELECT x FROM a WHERE y <> ? LIMIT ?",
	}
	run := func(i int) error {
		return db.Write(ctx, func(tx *Tx) error {
			for _, statement := range statements {
				if err := tx.Each(ctx, statement, []any{i, i + 1}, func(*Rows) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT); CREATE TABLE b (x INTEGER PRIMARY KEY, y TEXT)")
		return err
	}))
	require.NoError(t, run(0))
	before := compiled
	require.NotZero(t, before)
	for i := range 3 {
		require.NoError(t, run(2+i))
	}
	require.Equal(t, before+3, compiled, "but for BEGIN and COMMIT")
}

func TestRebindKeepsEverythingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"a", " ", "'x?'", `"y?"`, "/*?*/", "--?\n", "=", "é"})).Draw(t, "parts")
		in := strings.Join(parts, "?")
		out := rebind(Postgres, in)
		for i := 1; i < len(parts); i++ {
			require.Contains(t, out, "$")
		}
		require.Equal(t, strings.Count(in, "?")-strings.Count(out, "?"), strings.Count(out, "$"))
	})
}

func TestDate(t *testing.T) {
	t.Parallel()
	require.Equal(t, Date(0), Day(1970, time.January, 1))
	require.Equal(t, "1969-12-31", Date(-1).String())
	require.Equal(t, "2000-02-29", Day(2000, time.February, 29).String())
	for _, bad := range []string{"", "2001-02-29", "2001-2-3", "2001-02-03T00:00:00", "20010203"} {
		_, err := ParseDate(bad)
		require.Error(t, err, bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Date(rapid.Int32Range(-700_000, 2_900_000).Draw(t, "day")) // years 53 to 9909
		back, err := ParseDate(d.String())
		require.NoError(t, err)
		require.Equal(t, d, back)
		require.Equal(t, d, DateOf(d.Time().In(time.UTC)))
		require.Equal(t, d.Time().AddDate(0, 0, 1), (d + 1).Time())
	})
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	require.Equal(t, "NULL", Placeholders(0))
	require.Equal(t, "?", Placeholders(1))
	require.Equal(t, "?, ?, ?", Placeholders(3))
}
