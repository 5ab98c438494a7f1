// Package spool keeps bytes of patients on disk that have to be read at any offset, for no
// longer than the process and for nobody else.
//
// A [File] has no name and is encrypted with a key that is in this process's memory only:
// when that ends, however it does, the space is free and what was in it noise. Nothing is
// authenticated, as nobody else can reach the file.
package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// File is a file without a name. It is written once, from its beginning, and then read by
// any number of goroutines.
type File struct {
	disk  *os.File
	block cipher.Block
	write cipher.Stream
	size  int64
}

// Create makes an empty File in the folder for temporary files.
func Create() (*File, error) {
	disk, err := os.CreateTemp("", "trialmesh-") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := os.Remove(disk.Name()); err != nil {
		return nil, fmt.Errorf("spool: %w", errors.Join(err, disk.Close()))
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	f := &File{disk: disk, block: block}
	f.write = f.stream(0)
	return f, nil
}

// stream is AES-256's key stream in counter mode from an offset on that is a multiple of the
// block's size. The key is for one file, so the counter begins at zero.
func (f *File) stream(off int64) cipher.Stream {
	counter := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(counter[8:], uint64(off/aes.BlockSize))
	return cipher.NewCTR(f.block, counter) //nolint:gosec // one key for one file, so the counter begins at zero
}

// Size returns how many bytes were written.
func (f *File) Size() int64 { return f.size }

// Write appends p. After an error the file is of no further use.
func (f *File) Write(p []byte) (int, error) {
	n, err := cipher.StreamWriter{S: f.write, W: f.disk}.Write(p)
	f.size += int64(n)
	if err != nil {
		err = fmt.Errorf("spool: %w", err)
	}
	return n, err
}

// ReadAt implements [io.ReaderAt].
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.disk.ReadAt(p, off)
	if n > 0 {
		skip := off % aes.BlockSize
		stream := f.stream(off - skip)
		var skipped [aes.BlockSize]byte
		stream.XORKeyStream(skipped[:skip], skipped[:skip])
		stream.XORKeyStream(p[:n], p[:n])
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("spool: %w", err)
	}
	return n, err
}

// Close gives the space back.
func (f *File) Close() error { return f.disk.Close() }
