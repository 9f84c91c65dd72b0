package casefile_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward/server/casefile"
	"golang.org/x/mod/sumdb/note"
)

// opened is a pack as a stranger reads it, who has only the document and docs/case-file.md.
type opened struct {
	Format string `json:"format"`
	ID     string `json:"id"`
	PDF    string `json:"pdf_sha256"`
	Audit  struct {
		Checkpoint string `json:"checkpoint"`
		Entries    []struct {
			Index  int64    `json:"index"`
			Action string   `json:"action"`
			Record []byte   `json:"record"`
			Proof  [][]byte `json:"proof"`
			Who    *struct {
				Salt []byte `json:"salt"`
				JSON string `json:"json"`
			} `json:"who"`
			What *struct {
				Salt []byte `json:"salt"`
				JSON string `json:"json"`
			} `json:"what"`
		} `json:"entries"`
		Pending []struct {
			Action string `json:"action"`
		} `json:"pending"`
	} `json:"audit"`
}

// open checks the pack's signature and the PDF as a stranger does.
func open(file, pdf []byte, key string) (o opened, payload []byte, err error) {
	var doc struct {
		Payload   []byte `json:"payload"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(file, &doc); err != nil {
		return o, nil, err
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return o, nil, err
	}
	n, err := note.Open([]byte(doc.Signature), note.VerifierList(v))
	if err != nil {
		return o, nil, err
	}
	if err := json.Unmarshal(doc.Payload, &o); err != nil {
		return o, nil, err
	}
	if want := fmt.Sprintf("ward-case/1\n%s\n%x\n", o.ID, sha256.Sum256(doc.Payload)); n.Text != want {
		return o, nil, fmt.Errorf("the note says %q, want %q", n.Text, want)
	}
	if sum := sha256.Sum256(pdf); o.PDF != hex.EncodeToString(sum[:]) {
		return o, nil, errors.New("another PDF")
	}
	return o, doc.Payload, nil
}

func render(t *testing.T, src casefile.Source, o casefile.Options) casefile.Pack {
	t.Helper()
	p, err := casefile.Render(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRender(t *testing.T) {
	t.Parallel()
	key, n, _ := noteKey(t)
	for name, src := range map[string]casefile.Source{"case": night(), "order": alone(), "bare": bare()} {
		p := render(t, src, casefile.Options{Note: n})
		o, payload, err := open(p.JSON, p.PDF, key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Format != "ward-case/1" || o.ID != p.ID {
			t.Errorf("%s: format %q and id %q, want ward-case/1 and %q", name, o.Format, o.ID, p.ID)
		}
		// The hash of the PDF is of compressed bytes, which a new compressor may change.
		golden(t, name+".json", strings.Replace(string(payload), o.PDF, "HASH", 1))
		if p.P7S != nil {
			t.Errorf("%s: a signature of the PDF, and nobody signed it", name)
		}
	}
}

// TestSameBytes: a file made twice is the same, whatever zone and precision its times
// came in, and the source stays as it was.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	_, n, _ := noteKey(t)
	first := render(t, night(), casefile.Options{Note: n})
	src := night()
	zone := time.FixedZone("elsewhere", 3600)
	src.MadeAt = src.MadeAt.In(zone).Add(999 * time.Nanosecond)
	src.Case.Reported = src.Case.Reported.In(zone)
	src.Orders[0].Approvals[1].At = src.Orders[0].Approvals[1].At.In(zone)
	second := render(t, src, casefile.Options{Note: n})
	if !bytes.Equal(first.PDF, second.PDF) {
		t.Error("the PDFs differ")
	}
	if !bytes.Equal(first.JSON, second.JSON) {
		t.Error("the packs differ")
	}
	if src.Case.Reported.Location() != zone || src.Orders[0].Approvals[1].At.Location() != zone {
		t.Error("Render changed its source")
	}
}

// TestNoPlace: where the device was is in no file, even if it is handed in.
func TestNoPlace(t *testing.T) {
	t.Parallel()
	key, n, _ := noteKey(t)
	src := night()
	const place = "<key>Latitude</key><real>51.5</real>"
	src.Commands[1].RawAnswer = []byte(place)
	p := render(t, src, casefile.Options{Note: n})
	_, payload, err := open(p.JSON, p.PDF, key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(payload, []byte(base64.StdEncoding.EncodeToString([]byte(place)))) {
		t.Error("the pack tells a place")
	}
	if string(src.Commands[1].RawAnswer) != place {
		t.Error("Render changed its source")
	}
}

// TestTampered: no byte of the pack or of the PDF can be changed unseen.
func TestTampered(t *testing.T) {
	t.Parallel()
	key, n, _ := noteKey(t)
	p := render(t, night(), casefile.Options{Note: n})
	_, payload, err := open(p.JSON, p.PDF, key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.PDF {
		if i%97 == 0 {
			pdf := bytes.Clone(p.PDF)
			pdf[i] ^= 1
			if _, _, err := open(p.JSON, pdf, key); err == nil {
				t.Fatalf("byte %d of the PDF was changed unseen", i)
			}
		}
	}
	for i := range p.JSON {
		if i%41 != 0 {
			continue
		}
		file := bytes.Clone(p.JSON)
		file[i] ^= 1
		if _, got, err := open(file, p.PDF, key); err == nil && !bytes.Equal(got, payload) {
			t.Fatalf("byte %d of the pack was changed unseen", i)
		}
	}
	other := night()
	other.Case.ID = "case-9"
	q := render(t, other, casefile.Options{Note: n})
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(p.JSON, &a), json.Unmarshal(q.JSON, &b)); err != nil {
		t.Fatal(err)
	}
	a["signature"] = b["signature"]
	swapped, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(swapped, p.PDF, key); err == nil {
		t.Error("a note of another case was taken")
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	_, n, _ := noteKey(t)
	_, signer := certified(t)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	two := alone()
	two.Orders = append(two.Orders, two.Orders[0])
	lines := bare()
	lines.Case.ID = "case-1\ncase-2"
	undated := bare()
	undated.MadeAt = time.Time{}
	broken := alone()
	broken.Orders[0].Options = json.RawMessage(`{`)
	for _, tt := range []struct {
		name string
		ctx  context.Context
		src  casefile.Source
		o    casefile.Options
	}{
		{"nobody signs", t.Context(), night(), casefile.Options{}},
		{"of nothing", t.Context(), casefile.Source{MadeAt: at("18:00:00")}, casefile.Options{Note: n}},
		{"two orders and no case", t.Context(), two, casefile.Options{Note: n}},
		{"an id of two lines", t.Context(), lines, casefile.Options{Note: n}},
		{"no time", t.Context(), undated, casefile.Options{Note: n}},
		{"options that are no JSON", t.Context(), broken, casefile.Options{Note: n}},
		{"nobody waits for the signature", stopped, night(), casefile.Options{Note: n, Sign: signer}},
		{"the PDF can't be signed", t.Context(), night(), casefile.Options{Note: n, Sign: casefile.CMS{Parts: func() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error) {
			return nil, nil, nil, errors.New("no certificate")
		}}}},
		{"signed with nothing", t.Context(), night(), casefile.Options{Note: n, Sign: casefile.CMS{Parts: func() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error) {
			return nil, nil, nil, nil
		}}}},
	} {
		if p, err := casefile.Render(tt.ctx, tt.src, tt.o); err == nil || p.JSON != nil {
			t.Errorf("%s: Render = %d bytes, %v; want an error and nothing else", tt.name, len(p.JSON), err)
		}
	}
}

// certified returns a root, and a Signer by a TLS certificate that it issued.
func certified(t *testing.T) (roots []byte, s casefile.Signer) {
	t.Helper()
	issue := func(c, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return out, key
	}
	now := time.Now()
	root, rootKey := issue(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	leaf, leafKey := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "ward.example"}, DNSNames: []string{"ward.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, rootKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), casefile.CMS{Parts: func() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error) {
		return leaf, []*x509.Certificate{root}, leafKey, nil
	}}
}

// tools skips a test where a program is missing, but on the gate.
func tools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip("SKIPPED: ", err)
		}
	}
}

// TestByHand runs the commands of docs/case-file.md on a real file, and then on one whose
// PDF, payload or note was changed.
func TestByHand(t *testing.T) {
	t.Parallel()
	tools(t, "bash", "jq", "openssl", "sha256sum")
	doc, err := os.ReadFile("../../docs/case-file.md")
	if err != nil {
		t.Fatal(err)
	}
	key, n, _ := noteKey(t)
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands in the document, want 4", len(blocks))
	}
	for _, b := range blocks {
		script.WriteString(b[1])
	}
	text := strings.NewReplacer("CASE-ID", "case-7q", "NAME+HASH+KEY", key).Replace(script.String())
	roots, signer := certified(t)
	p := render(t, night(), casefile.Options{Note: n, Sign: signer})
	if sd, err := pkcs7.Parse(p.P7S); err != nil || len(sd.Content) != 0 {
		t.Errorf("the PDF's signature holds %d bytes of content, %v; want none", len(sd.Content), err)
	}
	other := night()
	other.Case.Note = "Nothing happened."
	forged := render(t, other, casefile.Options{Note: n, Sign: signer})

	run := func(pdf, file []byte) (string, error) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"case-7q.pdf": pdf, "case-7q.pdf.p7s": p.P7S, "case-7q.json": file, "roots.pem": roots} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run(p.PDF, p.JSON)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		fmt.Sprintf("%x\n%x ", sha256.Sum256(p.PDF), sha256.Sum256(p.PDF)), // what the payload says, and what the file has
		"Signature Verified Successfully", "CMS Verification successful",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands do not say %q:\n%s", want, out)
		}
	}
	if out, err := run(forged.PDF, p.JSON); err == nil {
		t.Errorf("another PDF was taken:\n%s", out)
	}
	note := regexp.MustCompile(`(ward-case/1\\ncase-7q\\n)[0-9a-f]{64}`)
	if out, err := run(p.PDF, note.ReplaceAll(p.JSON, []byte("${1}"+strings.Repeat("0", 64)))); err == nil {
		t.Errorf("another note was taken:\n%s", out)
	}
}
