package web

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"github.com/skip2/go-qrcode"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// EnrolView is what the enrolment page is about.
type EnrolView struct {
	Invitation enrollment.Invitation
	URL        string // the invitation's link, absolute, as it stands in its QR code
	// Choice is set where the device may also have a profile that proves nothing of its key,
	// for devices that can't prove it. It is at URL with ?download=1&identity=scep.
	Choice bool
	// TooOld is set where the phone or tablet that asks can't prove its key, and has to: it is
	// told so, and offered no profile.
	TooOld bool
}

type enrolPage struct {
	Page
	Person    string
	Org       string // how the page calls the employer
	Personal  bool
	Supervise bool
	Expires   moment
	TooOld    bool   // the phone that asks can't enrol
	Trouble   string // why the link can't be used any more; empty if it can
	Serial    string // of the one device that it is for; empty for any
	Download  string // address of the profile
	Other     string // address of the profile that proves nothing; empty if there is none
	Link      string
	QR        template.URL // image of the link
}

// qrSize is the width of the QR code's image in pixels.
const qrSize = 320

// EnrolPage answers with the page of an invitation: whom it is for, how to enrol, and
// what the employer will and won't see. It needs no sign-in, for the link is the
// secret. Whoever calls it has found the invitation and decided that a browser asks;
// the profile itself is at the same address with ?download=1. A link that was used, has
// expired or was taken back is answered with 410 and why.
func (s *Server) EnrolPage(w http.ResponseWriter, r *http.Request, e EnrolView) {
	s.outside(w, r, func(w http.ResponseWriter, r *http.Request) {
		v, err := s.enrolView(e)
		if err == nil {
			code := http.StatusOK
			if v.Trouble != "" {
				code = http.StatusGone
			}
			err = render(s, w, r, code, s.pages.enrol, v)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

func (s *Server) enrolView(e EnrolView) (*enrolPage, error) {
	i, now := e.Invitation, s.Now()
	v := &enrolPage{
		Page: Page{Title: "Set up your phone for work", Narrow: true}, Person: i.Name, Org: "your organisation", Personal: i.Ownership == ward.Personal,
		Supervise: i.Supervised, Expires: at(i.Expires, now), Link: e.URL, Serial: i.Serial, TooOld: e.TooOld,
	}
	if s.Name != "" {
		v.Org = s.Name
	}
	switch i.State(now) {
	case enrollment.Used:
		v.Trouble = "A phone has enrolled by this link already, and it works once. If that was not you, tell IT support at once."
	case enrollment.Expired:
		v.Trouble = "This link has expired. Ask IT support for a new one."
	case enrollment.Revoked:
		v.Trouble = "This link was taken back. Ask IT support for a new one."
	}
	if v.Trouble != "" {
		v.Title = "This link does not work any more"
		return v, nil
	}
	if v.TooOld {
		v.Title = "This device’s system is too old"
		return v, nil
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("link of invitation %s: %w", i.ID, err)
	}
	q := u.Query()
	q.Set("download", "1")
	u.RawQuery = q.Encode()
	v.Download = u.String()
	if e.Choice {
		q.Set("identity", string(enrollment.SCEP))
		u.RawQuery = q.Encode()
		v.Other = u.String()
	}
	png, err := qrcode.Encode(e.URL, qrcode.Medium, qrSize)
	if err != nil {
		return nil, fmt.Errorf("QR code of invitation %s: %w", i.ID, err)
	}
	v.QR = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)) //nolint:gosec // made here from base64 alone
	return v, nil
}
