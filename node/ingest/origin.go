package ingest

import (
	"context"

	"github.com/trialmesh/trialmesh/localstore/raw"
)

type senderKey struct{}

// SentBy says in a context who sends what is accepted under it, and by what kind of
// source. Without it that is whoever has the API's token.
func SentBy(ctx context.Context, sender, source string) context.Context {
	return context.WithValue(ctx, senderKey{}, raw.Origin{Sender: sender, Source: source})
}

// origin is that of a file that its sender calls name.
func origin(ctx context.Context, name string) raw.Origin {
	o, ok := ctx.Value(senderKey{}).(raw.Origin)
	if !ok {
		o = raw.Origin{Sender: "api", Source: "file"}
	}
	o.Name = name
	return o
}
