package parquet

import (
	"bytes"
	"io"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// The library's codecs take as much memory as compressed bytes claim, which is up to 64 GiB
// of a page of zstd. These take what the page's header says, which is bounded. The library's
// table of codecs has no lock, so they are registered before anything runs.
func init() {
	for name, decode := range map[compress.Compression]func(streaming, []byte, []byte) ([]byte, error){
		compress.Codecs.Snappy: snappyPage,
		compress.Codecs.Zstd:   zstdPage,
		compress.Codecs.Gzip:   streamedPage,
		compress.Codecs.Brotli: streamedPage,
	} {
		codec, err := compress.GetCodec(name)
		if err != nil {
			panic(err) // it is linked in
		}
		compress.RegisterCodec(name, bounded{codec.(streaming), decode})
	}
}

type streaming interface {
	compress.Codec
	compress.StreamingCodec
}

// bounded is a codec that decodes no more than is asked of it.
type bounded struct {
	streaming
	decode func(codec streaming, dst, src []byte) ([]byte, error)
}

// DecodeWithError implements [compress.ErrorCodec]. dst has the size of the page.
func (b bounded) DecodeWithError(dst, src []byte) ([]byte, error) {
	if len(dst) == 0 && len(src) == 0 { // a page of null only, which some do not compress
		return dst, nil
	}
	return b.decode(b.streaming, dst, src)
}

// Decode implements [compress.Codec].
func (b bounded) Decode(dst, src []byte) []byte {
	out, err := b.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return out
}

func snappyPage(_ streaming, dst, src []byte) ([]byte, error) {
	if n, err := snappy.DecodedLen(src); err != nil || n > len(dst) {
		return nil, errCorrupt
	}
	return snappy.Decode(dst, src)
}

// zstdDecoder is safe for concurrent use.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPage), zstd.WithDecoderLowmem(true))
})

func zstdPage(_ streaming, dst, src []byte) ([]byte, error) {
	decoder, err := zstdDecoder()
	if err != nil {
		return nil, err
	}
	return decoder.DecodeAll(src, dst[:0])
}

func streamedPage(codec streaming, dst, src []byte) ([]byte, error) {
	r := codec.NewReader(bytes.NewReader(src))
	defer r.Close()
	if _, err := io.ReadFull(r, dst); err != nil {
		return nil, err
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 || err != io.EOF { //nolint:errorlint // ReadFull returns it as it is
		return nil, errCorrupt
	}
	return dst, nil
}
