package web_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/web"
)

func TestEnrolPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const link = "https://ward.example.nhs.uk/invite/k3Zr8LxQ"
	page := func(change func(*enrollment.Invitation)) answer {
		i := enrollment.Invitation{ID: "inv-1", Name: "Asha <Rao>", Ownership: ward.Corporate, Created: w.now(), Expires: w.now().Add(time.Hour)}
		change(&i)
		rec := httptest.NewRecorder()
		w.web.EnrolPage(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/invite/k3Zr8LxQ", nil), web.EnrolView{Invitation: i, URL: link})
		return answer{rec.Code, "", rec.Header(), rec.Body.String()}
	}
	work := page(func(*enrollment.Invitation) {})
	work.want(t, 200, "For Asha <Rao> · a work phone", "Four steps", "May erase it, if two people sign exactly that", "St Example’s Hospital sees", "!Keeps blocked messaging apps from opening")
	if !strings.Contains(work.body, `href="`+link+`?download=1"`) || !regexp.MustCompile(`src="data:image/png;base64,[A-Za-z0-9+/&#;]{400,}`).MatchString(work.body) {
		t.Errorf("the page lacks the download or the QR code: %s", work.body)
	}
	page(func(i *enrollment.Invitation) { i.Supervised = true }).want(t, 200, "Keeps blocked messaging apps from opening", "asks it once where it is")
	page(func(i *enrollment.Invitation) { i.Ownership = ward.Personal }).want(t, 200, "your own phone", "Can’t erase your phone", "not even when it is lost", "!May erase it")
	page(func(i *enrollment.Invitation) { i.Serial = "C39ABCDEFG" }).want(t, 200, "on the device with the serial number", "C39ABCDEFG", "!could not be installed")
	for want, change := range map[string]func(*enrollment.Invitation){
		"it works once":  func(i *enrollment.Invitation) { i.Used = w.now() },
		"has expired":    func(i *enrollment.Invitation) { i.Expires = w.now().Add(-time.Minute) },
		"was taken back": func(i *enrollment.Invitation) { i.Revoked = w.now() },
	} {
		page(change).want(t, 410, "This link does not work any more", want, "!Download")
	}
}

// TestEnrolPageChoice: whose phone can't prove its key finds the other profile.
func TestEnrolPageChoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const link = "https://ward.example.nhs.uk/invite/k3Zr8LxQ"
	i := enrollment.Invitation{ID: "inv-1", Name: "Asha", Ownership: ward.Corporate, Created: w.now(), Expires: w.now().Add(time.Hour)}
	rec := httptest.NewRecorder()
	w.web.EnrolPage(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/invite/k3Zr8LxQ", nil), web.EnrolView{Invitation: i, URL: link, Choice: true})
	a := answer{rec.Code, "", rec.Header(), rec.Body.String()}
	a.want(t, 200, "If your phone says that the profile could not be installed", "!serial number <b>")
	if !strings.Contains(a.body, `href="`+link+`?download=1"`) || !strings.Contains(a.body, `href="`+link+`?download=1&amp;identity=scep"`) {
		t.Errorf("the page lacks one of the two profiles: %s", a.body)
	}
}

// TestEnrolPageTooOld: who has to prove a key and can't is told so, and offered nothing.
func TestEnrolPageTooOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	i := enrollment.Invitation{ID: "inv-1", Name: "Asha", Ownership: ward.Corporate, Created: w.now(), Expires: w.now().Add(time.Hour)}
	rec := httptest.NewRecorder()
	w.web.EnrolPage(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/invite/x", nil), web.EnrolView{Invitation: i, URL: "https://ward.example.nhs.uk/invite/x", TooOld: true})
	a := answer{rec.Code, "", rec.Header(), rec.Body.String()}
	a.want(t, 200, "system is too old", "needs iOS or iPadOS 16 or later", "Software Update", "!Download the profile", "!Four steps")
}

func TestErrorPageElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := httptest.NewRecorder()
	w.web.ErrorPage(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/invite/none", nil), ward.Errorf(ward.NotFound, "There is no such invitation."))
	a := answer{rec.Code, "", rec.Header(), rec.Body.String()}
	a.want(t, 404, "Not found", "There is no such invitation.")
	if a.header.Get("Content-Security-Policy") == "" {
		t.Error("the error page has no policy of contents")
	}
}
