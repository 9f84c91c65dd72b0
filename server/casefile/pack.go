package casefile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Format names the form of the pack. It is the first line of the signed note.
const Format = "ward-case/1"

// Notary signs a text as a note (golang.org/x/mod/sumdb/note), by the key of the audit log.
type Notary interface {
	Sign(text string) ([]byte, error)
}

// Signer signs a PDF. The signature is detached CMS, DER.
type Signer interface {
	Sign(pdf []byte) (p7s []byte, err error)
}

// Options are what a file is signed with.
type Options struct {
	Note Notary // needed
	Sign Signer // nil for a PDF without a signature of its own
}

// Pack is a file as it is handed over.
type Pack struct {
	ID   string // of the case or the order; the files are named by it
	JSON []byte
	PDF  []byte
	P7S  []byte // nil without Options.Sign
}

// document is the JSON file.
type document struct {
	Payload   []byte `json:"payload"`
	Signature string `json:"signature"`
}

// payload is what is signed: the source, with what the file adds to it. Its Commands hide
// the source's own.
type payload struct {
	Format string `json:"format"`
	ID     string `json:"id"`
	Source
	Commands []sent `json:"commands,omitempty"`
	PDF      string `json:"pdf_sha256"`
}

// sent is a command with its words.
type sent struct {
	Command
	Standing string  `json:"standing"`
	Words    string  `json:"words"`
	Elapsed  Elapsed `json:"elapsed,omitzero"`
}

// Render makes the file of src. It is slow where Options.Sign is, so it has no place in a
// unit of work. An answer that tells a place is left out, and so is the key of an approval
// that is not proven. The same source gives the same PDF and the same payload, to the byte.
// A source without a case must hold exactly one order.
func Render(ctx context.Context, src Source, o Options) (Pack, error) {
	src = src.inUTC().placeless().proven()
	id := src.id()
	switch {
	case o.Note == nil:
		return Pack{}, errors.New("case file: Note is needed")
	case id == "" || strings.ContainsAny(id, "\r\n"):
		return Pack{}, fmt.Errorf("case file: a case, or one order, is needed; got the id %q and %d orders", id, len(src.Orders))
	case src.MadeAt.IsZero():
		return Pack{}, fmt.Errorf("case file %s: MadeAt is needed", id)
	}
	p := Pack{ID: id}
	var err error
	if p.PDF, err = renderPDF(NewView(src), true); err != nil {
		return Pack{}, fmt.Errorf("case file %s: %w", id, err)
	}
	if p.JSON, err = seal(src, p.PDF, o.Note); err != nil {
		return Pack{}, fmt.Errorf("case file %s: %w", id, err)
	}
	if o.Sign == nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return Pack{}, fmt.Errorf("case file %s: %w", id, err)
	}
	if p.P7S, err = o.Sign.Sign(p.PDF); err != nil {
		return Pack{}, fmt.Errorf("sign PDF of case file %s: %w", id, err)
	}
	return p, nil
}

// seal makes the signed JSON document.
func seal(src Source, pdf []byte, n Notary) ([]byte, error) {
	body, err := encode(payloadOf(src, pdf))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	signed, err := n.Sign(Format + "\n" + src.id() + "\n" + hex.EncodeToString(sum[:]) + "\n")
	if err != nil {
		return nil, err
	}
	return encode(document{Payload: body, Signature: string(signed)})
}

func payloadOf(src Source, pdf []byte) payload {
	sum := sha256.Sum256(pdf)
	p := payload{Format: Format, ID: src.id(), Source: src, PDF: hex.EncodeToString(sum[:])}
	for _, c := range src.Commands {
		p.Commands = append(p.Commands, sent{Command: c, Standing: standing(c), Words: words(c), Elapsed: elapsed(c, src.reported())})
	}
	if p.Audit.Entries == nil {
		p.Audit.Entries = []Entry{} // a list, though it is empty
	}
	return p
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
