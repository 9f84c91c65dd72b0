package declare

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// Path begins the path of every link to a declared profile.
const Path = "/mdm/v1/declared/"

// DocumentPath begins the path of every link to a document that a declaration refers to.
const DocumentPath = "/mdm/v1/document/"

// Links makes and proves the links by which devices fetch declared profiles and documents. A
// link is good for one enrolment and one profile or document, needs no client certificate, so that it works
// behind a proxy that passes none on, and can't be guessed.
type Links struct {
	server string
	key    []byte
}

// NewLinks returns the links of a server at its public address.
func NewLinks(serverURL string, key []byte) (Links, error) {
	if len(key) != sha256.Size {
		return Links{}, fmt.Errorf("the key of profile links has %d bytes, want %d", len(key), sha256.Size)
	}
	if !strings.HasPrefix(serverURL, "https://") {
		return Links{}, errors.New("profile links need the server's https address: Apple fetches declared profiles no other way")
	}
	return Links{server: strings.TrimRight(serverURL, "/"), key: key}, nil
}

// URL returns the link of a profile for an enrolment.
func (l Links) URL(id ward.EnrolmentID, hash string) string {
	return l.server + Path + string(id) + "/" + hash + "/" + l.mac(id, hash)
}

// Document returns the link of a document for an enrolment.
func (l Links) Document(id ward.EnrolmentID, hash string) string {
	return l.server + DocumentPath + string(id) + "/" + hash + "/" + l.mac(id, documentMark+hash)
}

// documentMark keeps the link of a document from proving a profile.
const documentMark = "document/"

// Proves reports whether the parts of a link belong together. It takes as long for a
// wrong proof as for a right one.
func (l Links) Proves(id ward.EnrolmentID, hash, mac string) bool {
	return len(id) <= maxToken && hashForm.MatchString(hash) && hmac.Equal([]byte(mac), []byte(l.mac(id, hash)))
}

// ProvesDocument reports the same of the parts of a document's link.
func (l Links) ProvesDocument(id ward.EnrolmentID, hash, mac string) bool {
	return len(id) <= maxToken && hashForm.MatchString(hash) && hmac.Equal([]byte(mac), []byte(l.mac(id, documentMark+hash)))
}

func (l Links) mac(id ward.EnrolmentID, hash string) string {
	m := hmac.New(sha256.New, l.key)
	fmt.Fprintf(m, "%d:%s/%s", len(id), id, hash)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

var (
	hashForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	variable = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)
)

// bind replaces the variables in the texts of a payload. {{profile:<hash>}} becomes the
// profile's link and {{document:<hash>}} the document's; the others are those of package profiles but the one-time token, which
// must not stand in what a device may fetch again and again. One that nobody knows is an
// error: a device must not be given its name for a value.
func (s *Service) bind(payload []byte, d ward.Device, e ward.Enrolment) ([]byte, error) {
	values := profiles.Values{DeviceID: string(d.ID), DeviceName: d.Name, UserEmail: d.Email, ServerURL: s.links.server}
	var unknown []string
	out := variable.ReplaceAllFunc(payload, func(found []byte) []byte {
		name := string(variable.FindSubmatch(found)[1])
		value, ok := s.value(name, values, e)
		if !ok {
			unknown = append(unknown, name)
			return found
		}
		quoted, err := json.Marshal(value) // a text always has a JSON form
		if err != nil {
			unknown = append(unknown, name)
			return found
		}
		return quoted[1 : len(quoted)-1]
	})
	if len(unknown) > 0 {
		return nil, fmt.Errorf("variables that can't be bound in a declaration: %s", strings.Join(unknown, ", "))
	}
	if !json.Valid(out) {
		return nil, errors.New("a variable stands outside a text")
	}
	return out, nil
}

func (s *Service) value(name string, v profiles.Values, e ward.Enrolment) (string, bool) {
	if hash, ok := strings.CutPrefix(name, "profile:"); ok {
		return s.links.URL(e.ID, hash), hashForm.MatchString(hash)
	}
	if hash, ok := strings.CutPrefix(name, "document:"); ok {
		return s.links.Document(e.ID, hash), hashForm.MatchString(hash)
	}
	if name == profiles.TokenVariable {
		return "", false
	}
	text := "{{" + name + "}}"
	value := profiles.RenderText(text, v)
	return value, value != text
}
