package applemdm

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"strings"
	"testing"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/plist"
)

// cyclic is a binary property list of 43 bytes: an array that holds itself. The decoder
// follows it until the process dies.
func cyclic() []byte {
	trailer := make([]byte, 32)
	trailer[6], trailer[7] = 1, 1 // sizes of an offset and of a reference
	binary.BigEndian.PutUint64(trailer[8:], 1)
	binary.BigEndian.PutUint64(trailer[24:], 10)
	return append([]byte("bplist00\xa1\x00\x08"), trailer...)
}

func nested(n int) string {
	return strings.Repeat("<array>", n) + strings.Repeat("</array>", n)
}

const head = `<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">`

func TestGuard(t *testing.T) {
	t.Parallel()
	if n := len(cyclic()); n != 43 {
		t.Fatalf("the cyclic list has %d bytes, want 43", n)
	}
	for _, tc := range []struct {
		name, body string
		want       error
	}{
		{"a plain list", head + `<plist version="1.0"><dict><key>a</key><string>b</string></dict></plist>`, nil},
		{"a byte order mark", "\xef\xbb\xbf" + head + `<plist><dict/></plist>`, nil},
		{"space before it", " \r\n\t" + head + `<plist><dict/></plist>`, nil},
		{"as deep as is allowed", `<plist>` + nested(maxDepth-1) + `</plist>`, nil},
		{"one deeper", `<plist>` + nested(maxDepth) + `</plist>`, errDeep},
		{"the deepest that fits", `<plist>` + nested(200_000) + `</plist>`, errDeep},
		{"empty elements are not deep", `<plist><array>` + strings.Repeat("<dict/>", 1000) + `</array></plist>`, nil},
		{"tags within a comment", `<plist><!-- ` + nested(100) + ` --><dict/></plist>`, nil},
		{"tags within CDATA", `<plist><string><![CDATA[` + nested(100) + `]]></string></plist>`, nil},
		{"'>' within an attribute", `<plist a="></plist>"><dict b='<!--'/></plist>`, nil},
		{"a slash within an attribute does not close", `<plist a="/">` + nested(maxDepth) + `</plist>`, errDeep},
		{"a comment that is never closed", `<plist><!-- ` + nested(100), errBroken},
		{"a comment that hides its end in itself", `<plist><!-->` + nested(100) + `</plist>`, errBroken},
		{"CDATA that is never closed", `<plist><![CDATA[` + nested(100), errBroken},
		{"an instruction that is never closed", `<?xml ` + nested(100), errBroken},
		{"a tag that is never closed", `<plist><dict`, errBroken},
		{"a quote that is never closed", `<plist a="><dict/></plist>`, errBroken},
		{"more ends than beginnings", `<plist></plist></plist>`, errBroken},
		{"more beginnings than ends", `<plist><dict></plist>`, errBroken},
		{"a document type with entities", `<!DOCTYPE plist [<!ENTITY a "b">]><plist/>`, errBroken},
		{"a document type in a quote of a comment", `<!D <!-- ' --> ><plist>` + nested(100) + `<string>'</string>></plist>`, errBroken},
		{"a document type within a document type", `<!D <!E>><plist/>`, errBroken},
		{"the cyclic binary list", string(cyclic()), errNotXML},
		{"it after space", " \n" + string(cyclic()), errNotXML},
		{"it after a byte order mark", "\xef\xbb\xbf" + string(cyclic()), errNotXML},
		{"OpenStep", `{ a = b; }`, errNotXML},
		{"nothing", ``, errNotXML},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if err := guard([]byte(tc.body)); !errors.Is(err, tc.want) {
				t.Errorf("guard() = %v, want %v", err, tc.want)
			}
		})
	}
}

// depth is how deep the decoder's own lexer sees the elements nest, as far as it reads.
func depth(b []byte) (most int) {
	d := xml.NewDecoder(bytes.NewReader(b))
	for now := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return most
		}
		switch tok.(type) {
		case xml.StartElement:
			now++
			most = max(most, now)
		case xml.EndElement:
			now--
		}
	}
}

// FuzzGuard: what the guard lets through is never deeper for the decoder than for the
// guard, and the decoders survive it.
func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		string(cyclic()), `<plist>` + nested(40) + `</plist>`, head + `<plist><dict><key>UDID</key><string>U</string></dict></plist>`,
		`<!D <!-- ' --> ><plist>` + nested(40) + `<string>'</string>></plist>`, `<plist a='>'><!-- " --><![CDATA[<]]></plist>`, `<?a b?><plist/>`,
		"\xef\xbb\xbf<plist><dict/></plist>", `<plist><dict><key>MessageType</key><string>Authenticate</string><key>UDID</key><string>U</string></dict></plist>`,
		`<plist><integer>99999999999999999999</integer></plist>`, `<plist><data>!!!</data></plist>`, `<plist><date>x</date></plist>`, `<plist><dict><key/></dict></plist>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if guard(b) != nil {
			return
		}
		if n := depth(b); n > maxDepth {
			t.Errorf("the decoder sees %d levels, the guard at most %d", n, maxDepth)
		}
		var v any
		_ = plist.Unmarshal(b, &v) // an error is an answer; a panic fails the test
		_, _ = mdm.DecodeCheckin(b)
		_, _ = mdm.DecodeCommandResults(b)
		_, _ = mdm.DecodeCommand(b)
	})
}

// BenchmarkGuard: reading a body twice must not be felt.
func BenchmarkGuard(b *testing.B) {
	body := []byte(head + `<plist><array>` + strings.Repeat("<dict><key>Identifier</key><string>com.example.app</string></dict>", 1000) + `</array></plist>`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := guard(body); err != nil {
			b.Fatal(err)
		}
	}
}
