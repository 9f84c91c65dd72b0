package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
)

//go:embed static/css/*.css static/js/*.js
var staticFiles embed.FS

// assets are the files that pages load. The checksum in an address lets browsers keep
// a file for ever.
type assets struct {
	files         map[string]asset
	style, script string // addresses
	logo          string // address; empty without one
}

type asset struct {
	kind        string
	plain, gzip []byte
	own         bool // not of ours: nothing in it may load or run
}

func loadAssets(logo []byte) (a assets, err error) {
	a.files = map[string]asset{}
	if a.style, err = a.add("css", ".css", "text/css; charset=utf-8"); err != nil {
		return a, err
	}
	if a.script, err = a.add("js", ".js", "text/javascript; charset=utf-8"); err != nil {
		return a, err
	}
	a.logo, err = a.addLogo(logo)
	return a, err
}

// maxLogo bounds the organisation's logo, in bytes.
const maxLogo = 100 << 10

// CheckLogo says what is wrong with a logo, nil if nothing is; none is nothing wrong.
func CheckLogo(b []byte) error {
	_, _, err := logoKind(b)
	return err
}

// logoKind returns the type of a logo and the ending of its address.
func logoKind(b []byte) (kind, ext string, err error) {
	switch {
	case len(b) == 0:
		return "", "", nil
	case len(b) > maxLogo:
		return "", "", ward.Errorf(ward.Invalid, "The logo has %d kB; it may have %d. Make its picture smaller.", len(b)>>10, maxLogo>>10)
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png", ".png", nil
	case bytes.Contains(b[:min(len(b), 1024)], []byte("<svg")):
		return "image/svg+xml", ".svg", nil
	}
	return "", "", ward.Errorf(ward.Invalid, "The logo is neither an SVG nor a PNG. Save it as one of these.")
}

// addLogo serves the organisation's logo. Pages show it as an image, in which a browser
// runs no script; opened by itself, its policy of contents lets it load and run nothing.
func (a assets) addLogo(b []byte) (string, error) {
	kind, ext, err := logoKind(b)
	if err != nil || kind == "" {
		return "", err
	}
	sum := sha256.Sum256(b)
	file := "logo." + hex.EncodeToString(sum[:6]) + ext
	a.files[file] = asset{kind: kind, plain: b, own: true}
	return "/static/" + file, nil
}

// add serves the files of a folder as one, in the order of their names.
func (a assets) add(dir, ext, kind string) (string, error) {
	names, err := fs.Glob(staticFiles, "static/"+dir+"/*"+ext)
	if err != nil || len(names) == 0 {
		return "", fmt.Errorf("static files %s: none found: %w", dir, err)
	}
	var plain []byte
	for _, n := range names { // sorted by name
		one, err := staticFiles.ReadFile(n)
		if err != nil {
			return "", fmt.Errorf("static file: %w", err)
		}
		plain = append(append(plain, one...), '\n')
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return "", fmt.Errorf("compress %s: %w", dir, err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("compress %s: %w", dir, err)
	}
	sum := sha256.Sum256(plain)
	file := "ward." + hex.EncodeToString(sum[:6]) + ext
	a.files[file] = asset{kind: kind, plain: plain, gzip: b.Bytes()}
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
	if f.own {
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	}
	if f.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a browser that went away needs no file
	}
}
