// Package door holds the key with which the packages below localstore reach
// the driver's own transaction through sqldb.
//
// Only code below localstore can name [Key], so only that code can ask for a
// native handle; node and hub see nothing but sqldb.Tx.
package door

// Key opens sqldb.DB.Native and sqldb.Tx.Native. It carries no data; its
// unexported field keeps a literal from being written elsewhere.
type Key struct{ _ [0]func() }
