package server

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/web"
)

// invitePath is where the links of invitations lead; the token follows it.
const invitePath = "/invite/"

// recoveryPath is where the holder of a device that has just enrolled gets a recovery code.
const recoveryPath = "/recovery/"

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

// identityParameter asks the link of an invitation for a profile that gets its identity in
// this way.
const identityParameter = "identity"

// attests is the first iOS whose devices attest keys by ACME
// (https://support.apple.com/guide/deployment/dep28afbde6a/web).
const attests = 16

// systemVersion and browserVersion find the major version of iOS in what Safari says of
// itself. An iPad says that it is a Mac, unless its user asked for mobile websites; Safari's
// version is that of iOS there.
var (
	systemVersion  = regexp.MustCompile(`CPU (?:iPhone )?OS ([0-9]{1,3})_`)
	browserVersion = regexp.MustCompile(`Macintosh.* Version/([0-9]{1,3})\..* Safari/`)
)

// wish returns how the device that opens the link of an invitation would get its identity,
// by what its browser tells of it and by what was asked for. A Mac's browser does not tell
// what is needed of a Mac: Apple silicon and macOS 14.
func wish(r *http.Request, i enrollment.Invitation) enrollment.Identity {
	if r.URL.Query().Get(identityParameter) == string(enrollment.SCEP) {
		return enrollment.SCEP
	}
	if i.Platform != ward.IOS {
		return ""
	}
	for _, version := range []*regexp.Regexp{systemVersion, browserVersion} {
		if m := version.FindStringSubmatch(r.UserAgent()); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n >= attests {
				return enrollment.Attested
			}
			return ""
		}
	}
	return ""
}

// tooOld reports whether the browser of a phone or tablet tells of a system on which nothing
// can be attested. One that says it is a Mac may be one.
func tooOld(r *http.Request, i enrollment.Invitation) bool {
	m := systemVersion.FindStringSubmatch(r.UserAgent())
	if m == nil || i.Platform != ward.IOS {
		return false
	}
	n, err := strconv.Atoi(m[1])
	return err == nil && n < attests
}

// asksPage reports whether a browser asks for a page, on whatever device.
func asksPage(r *http.Request) bool {
	return r.URL.Query().Get("download") != "1" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// invite answers the link of an invitation: a device gets the signed enrolment profile,
// a browser a page that explains and offers it. Where there are two profiles to choose
// from, a device's browser gets the page too, and so does one whose device can't use the
// only profile there is.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Vary", "Accept, User-Agent")
	inv, err := s.Enrolment.Find(r.Context(), token)
	old := err == nil && s.Enrolment.MustAttest(inv) && tooOld(r, inv)
	if old || !wantsProfile(r) || (err == nil && s.Enrolment.MayChoose(inv) && asksPage(r)) {
		if err != nil {
			if _, ok, failed := s.RecoverableBy(r.Context(), token); failed == nil && ok { // its device has just enrolled
				http.Redirect(w, r, recoveryPath+url.PathEscape(token), http.StatusSeeOther)
				return
			}
			s.web.ErrorPage(w, r, err)
			return
		}
		s.web.EnrolPage(w, r, web.EnrolView{Invitation: inv, URL: s.InviteURL(token), Choice: s.Enrolment.MayChoose(inv), TooOld: old})
		return
	}
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: "invitation", Via: ward.ViaDevice})
	_, profile, err := s.Enrolment.Open(ctx, token, wish(r, inv))
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
