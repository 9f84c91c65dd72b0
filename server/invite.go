package server

import (
	"net/http"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/web"
)

// invitePath is where the links of invitations lead; the token follows it.
const invitePath = "/invite/"

// InviteURL returns the link of an invitation's token.
func (s *Server) InviteURL(token string) string { return s.config.PublicURL + invitePath + token }

// wantsProfile reports whether a request comes from a device that installs profiles, or
// from a tool, rather than from a browser that would show a page.
func wantsProfile(r *http.Request) bool {
	if r.URL.Query().Get("download") == "1" {
		return true
	}
	agent := r.UserAgent()
	for _, device := range []string{"iPhone", "iPad", "iPod", "MDM", "Profile"} {
		if strings.Contains(agent, device) {
			return true
		}
	}
	return !strings.Contains(agent, "Mozilla/")
}

// invite answers the link of an invitation: a device gets the signed enrolment profile,
// a browser a page that explains and offers it.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if !wantsProfile(r) {
		inv, err := s.Enrolment.Find(r.Context(), token)
		if err != nil {
			s.web.ErrorPage(w, r, err)
			return
		}
		s.web.EnrolPage(w, r, web.EnrolView{Invitation: inv, URL: s.InviteURL(token)})
		return
	}
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: "invitation", Via: ward.ViaDevice})
	_, profile, err := s.Enrolment.Open(ctx, token)
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	cert, chain, key, err := s.signer.parts()
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	signed, err := enrollment.Sign(profile, cert, chain, key)
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-apple-aspen-config")
	w.Header().Set("Content-Disposition", `attachment; filename="enrol.mobileconfig"`)
	w.Write(signed) //nolint:errcheck,gosec // a signed profile, never HTML; the client is gone, nobody is left to tell
}

// manifest describes the app of the example policy, so that a trial's virtual phones
// find something to install. A server in use has none: there a policy names where the
// app really is.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request) {
	bundle, ok := strings.CutSuffix(r.PathValue("name"), ".plist")
	if !s.config.Trial || !ok {
		httpd.WriteError(w, r, ward.Errorf(ward.NotFound, "There is no such app here."))
		return
	}
	body, err := applemdm.Manifest(bundle, s.config.PublicURL+"/app/v1/package/"+bundle+".ipa")
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Write(body) //nolint:errcheck,gosec // XML that was encoded, never HTML; the client is gone, nobody is left to tell
}
