package web_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// visitor is a browser at work.
type visitor struct {
	*http.Client
	w *world
}

// answer is what a visitor got.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

// text is the page without its markup, in single spaces.
func (a answer) text() string {
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(a.body, " "))), " ")
}

var tags = regexp.MustCompile(`<[^>]*>`)

func (w *world) visitor() *visitor { return &visitor{w.browser(), w} }

// signedIn is a visitor who has signed in by a one-time link.
func (w *world) signedIn(p access.Person) *visitor {
	w.t.Helper()
	secret, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
	w.must(err)
	v := w.visitor()
	if a := v.post("/signin/"+secret, nil); a.location != "/" && a.location != "/mine" {
		w.t.Fatalf("sign in by link = %d to %q", a.status, a.location)
	}
	return v
}

func (v *visitor) do(r *http.Request) answer {
	v.w.t.Helper()
	res, err := v.Do(r)
	v.w.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	v.w.must(err)
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(b)}
}

func (v *visitor) get(path string) answer {
	v.w.t.Helper()
	r, err := http.NewRequestWithContext(v.w.t.Context(), http.MethodGet, v.w.url+path, nil)
	v.w.must(err)
	return v.do(r)
}

func (v *visitor) post(path string, form url.Values) answer {
	v.w.t.Helper()
	r, err := http.NewRequestWithContext(v.w.t.Context(), http.MethodPost, v.w.url+path, strings.NewReader(form.Encode()))
	v.w.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(r)
}

// want checks the status and the words that a page has and has not ("!word").
func (a answer) want(t *testing.T, status int, words ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status = %d to %q, want %d: %s", a.status, a.location, status, a.text())
	}
	text := a.text()
	for _, word := range words {
		if not, ok := strings.CutPrefix(word, "!"); ok {
			if strings.Contains(text, not) {
				t.Errorf("the page has %q, which it should not: %s", not, text)
			}
		} else if !strings.Contains(text, word) {
			t.Errorf("the page lacks %q: %s", word, text)
		}
	}
}

// to checks a redirect after a form.
func (a answer) to(t *testing.T, location string) {
	t.Helper()
	if a.status != http.StatusSeeOther || a.location != location {
		t.Errorf("answer = %d to %q, want 303 to %q: %s", a.status, a.location, location, a.text())
	}
}

// staff are the owners of the phones of fleet.
var staff = []string{
	"Asha Rao", "Ben Carter", "Chloe Evans", "Dan Murphy", "Efua Mensah", "Femi Adeyemi", "Grace Lin", "Harriet Cole", "Imran Sheikh", "Joan Hughes",
	"Kofi Boateng", "Lena Novak", "Mo Farrow", "Nia Pritchard", "Olu Bello", "Priya Nair", "Quentin Marsh", "Rosa Diaz", "Sam Okafor", "Tess Whitby",
	"Uma Patel", "Viktor Hale", "Wren Ashby", "Xanthe Poole", "Yusuf Khan", "Zoe Lambert", "Aled Morgan", "Bea Stokes",
}

// fleet enrols phones of every kind, and returns the lost one's device.
func (w *world) fleet(reporter access.Person) ward.DeviceID {
	w.t.Helper()
	w.publish()
	for i, name := range staff {
		first, _, _ := strings.Cut(name, " ")
		p := phone{supervised: i%3 != 1, seen: time.Duration(i*i+1) * time.Minute}
		p.Device = ward.Device{ID: ward.DeviceID(fmt.Sprintf("dev-%02d", i)), Serial: fmt.Sprintf("F2LX%04dQ1", 1380+i*37), Name: first + "’s iPhone", Owner: name, Email: strings.ToLower(first) + "@example.org", Ownership: ward.Corporate, Group: []string{"Ward 7", "Theatres", "A&E", "Pharmacy"}[i%4]}
		if i%5 == 4 {
			p.Ownership, p.supervised = ward.Personal, false
		}
		if i%3 == 1 {
			p.apps = []string{whatsApp}
		}
		p.noPasscode, p.noApp = i == 12, i == 9
		if i == 20 {
			p.seen = 6 * 24 * time.Hour
		}
		if i >= 26 {
			w.add(p.Device)
			continue
		}
		e := w.enrol(p)
		if i == 15 {
			w.must(w.db.Fleet().EndEnrolment(w.t.Context(), e.ID, "its owner removed the management"))
			w.must(w.db.Fleet().SetDeviceState(w.t.Context(), p.ID, ward.Unenrolled))
		}
	}
	lost := ward.DeviceID("dev-02")
	w.report(reporter, lost)
	return lost
}
