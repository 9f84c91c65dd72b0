package web

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"github.com/skip2/go-qrcode"
	"github.com/wardmdm/ward"
)

// codePage shows a recovery code, once, to be printed.
type codePage struct {
	Page
	Code   string
	Device string
	Owner  string
	Link   string // of the page where it is used
	QR     template.URL
	Made   moment
	Staff  bool // whoever prints it gives it to the holder
}

func (s *Server) codeView(r *http.Request, code string, d ward.Device) (*codePage, error) {
	v := &codePage{Page: Page{Title: "Recovery code", Narrow: true}, Code: code, Device: nameOf(d), Owner: d.Owner, Link: s.address(r) + "/lost", Made: at(s.Now(), s.Now())}
	png, err := qrcode.Encode(v.Link, qrcode.Medium, qrSize)
	if err != nil {
		return nil, fmt.Errorf("QR code of the page for losses: %w", err)
	}
	v.QR = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)) //nolint:gosec // made here from base64 alone
	return v, nil
}

// makeCode is POST /devices/{id}/recovery-code.
func (s *Server) makeCode(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Posture.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	code, err := s.Lost.MakeCode(r.Context(), d.Device.ID)
	if err != nil {
		return err
	}
	v, err := s.codeView(r, code, d.Device)
	if err != nil {
		return err
	}
	v.Staff, v.Section, v.Backlink, v.Backname = true, "devices", deviceAddress(d.Device.ID), nameOf(d.Device)
	return render(s, w, r, http.StatusOK, s.pages.code, v)
}

// recoveryPage offers a recovery code to whoever enrolled by a link.
type recoveryPage struct {
	Page
	Device  string
	Address string // empty where the link gives no code any more
}

// recoveryForm is GET /recovery/{secret}. It asks for a deliberate step: previews fetch links,
// and that must not use one up.
func (s *Server) recoveryForm(w http.ResponseWriter, r *http.Request) error {
	r = asVisitor(r)
	d, ok, err := s.Recovery.RecoverableBy(r.Context(), r.PathValue("secret"))
	if err != nil {
		return err
	}
	v := &recoveryPage{Page: Page{Title: "Your recovery code", Narrow: true}}
	if !ok {
		v.Title = "This link gives no recovery code"
		return render(s, w, r, http.StatusGone, s.pages.recovery, v)
	}
	v.Device, v.Address = nameOf(d), "/recovery/"+url.PathEscape(r.PathValue("secret"))
	return render(s, w, r, http.StatusOK, s.pages.recovery, v)
}

// recoveryCode is POST /recovery/{secret}.
func (s *Server) recoveryCode(w http.ResponseWriter, r *http.Request) error {
	r = asVisitor(r)
	code, d, err := s.Recovery.RecoveryCodeBy(r.Context(), r.PathValue("secret"))
	if ward.KindOf(err) == ward.Forbidden {
		return render(s, w, r, http.StatusGone, s.pages.recovery, &recoveryPage{Page: Page{Title: "This link gives no recovery code", Narrow: true}})
	}
	if err != nil {
		return err
	}
	v, err := s.codeView(r, code, d)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.code, v)
}
