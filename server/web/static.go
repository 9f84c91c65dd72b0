package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the files that pages load. The checksum in an address lets browsers keep
// a file for ever.
type assets struct {
	files         map[string]asset
	style, script string // addresses
}

type asset struct {
	kind        string
	plain, gzip []byte
}

func loadAssets() (a assets, err error) {
	a.files = map[string]asset{}
	if a.style, err = a.add("ward.css", "text/css; charset=utf-8"); err != nil {
		return a, err
	}
	a.script, err = a.add("ward.js", "text/javascript; charset=utf-8")
	return a, err
}

func (a assets) add(name, kind string) (string, error) {
	plain, err := staticFiles.ReadFile("static/" + name)
	if err != nil {
		return "", fmt.Errorf("static file: %w", err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return "", fmt.Errorf("compress %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("compress %s: %w", name, err)
	}
	sum := sha256.Sum256(plain)
	ext := path.Ext(name)
	file := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	a.files[file] = asset{kind, plain, b.Bytes()}
	return "/static/" + file, nil
}

// ServeHTTP meets http.Handler.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h, body := w.Header(), f.plain
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a browser that went away needs no file
	}
}
