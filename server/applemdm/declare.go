package applemdm

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jessepeterson/kmfddm/ddm"
	"github.com/jessepeterson/kmfddm/ddm/build"
	"github.com/jessepeterson/kmfddm/storage"
	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/nanohub/ddmadapter"
	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanolib/log/ctxlog"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/service"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
)

// declarations fits package declare to the library that answers the four endpoints. It
// takes the enrolment from the request's context, in which it was proven.
type declarations struct {
	service *declare.Service
	now     func() time.Time
}

var (
	_ storage.EnrollmentDeclarationStorage = declarations{}
	_ storage.StatusStorer                 = declarations{}
)

var errNoContact = errors.New("declarations are asked for outside a request of a proven device")

// set returns what the device of the request should have.
func (d declarations) set(ctx context.Context) (declare.Set, error) {
	c, ok := fleet.ContactFrom(ctx)
	if !ok {
		return declare.Set{}, errNoContact
	}
	return d.service.Set(ctx, c.ID)
}

// RetrieveTokensJSON meets storage.TokensJSONRetriever.
func (d declarations) RetrieveTokensJSON(ctx context.Context, _ string) ([]byte, error) {
	set, err := d.set(ctx)
	if err != nil {
		return nil, err
	}
	return tokens(set.Token, d.now())
}

// tokens returns a TokensResponse.
// Source: https://developer.apple.com/documentation/devicemanagement/tokensresponse
func tokens(token string, now time.Time) ([]byte, error) {
	return json.Marshal(ddm.TokensResponse{SyncTokens: ddm.SynchronizationTokens{DeclarationsToken: token, Timestamp: now.UTC().Truncate(time.Second)}})
}

// RetrieveDeclarationItemsJSON meets storage.DeclarationItemsJSONRetriever. The library's
// builder sorts the items into their manifests; its own token, made of theirs alone, would
// not tell a declaration from another of the same content, so the set's takes its place.
func (d declarations) RetrieveDeclarationItemsJSON(ctx context.Context, _ string) ([]byte, error) {
	set, err := d.set(ctx)
	if err != nil {
		return nil, err
	}
	b := build.NewDIBuilder(sha256.New)
	for _, i := range set.Items {
		b.Add(&ddm.Declaration{Identifier: i.Identifier, Type: i.Type, ServerToken: i.Token})
	}
	b.DeclarationItems.DeclarationsToken = set.Token
	return json.Marshal(&b.DeclarationItems)
}

// RetrieveEnrollmentDeclarationJSON meets storage.DeclarationJSONRetriever.
func (d declarations) RetrieveEnrollmentDeclarationJSON(ctx context.Context, identifier, kind, _ string) ([]byte, error) {
	c, ok := fleet.ContactFrom(ctx)
	if !ok {
		return nil, errNoContact
	}
	i, err := d.service.Declaration(ctx, c.Enrolment, kind, identifier)
	if ward.KindOf(err) == ward.NotFound {
		return nil, fmt.Errorf("%w: %w", storage.ErrDeclarationNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(ddm.Declaration{Identifier: i.Identifier, Type: i.Type, ServerToken: i.Token, Payload: i.Payload})
}

// StoreDeclarationStatus meets storage.StatusStorer.
func (d declarations) StoreDeclarationStatus(ctx context.Context, _ string, status *ddm.StatusReport) error {
	c, ok := fleet.ContactFrom(ctx)
	if !ok {
		return errNoContact
	}
	told, ok := ctx.Value(statusKey{}).(*statusReader)
	if !ok {
		return errNoContact
	}
	return d.service.Take(ctx, c.Enrolment, told.report(status))
}

// declarative returns the library's handler of the four endpoints, on package declare.
func declarative(s *declare.Service, now func() time.Time) service.DeclarativeManagement {
	d := declarations{s, now}
	adapter, err := ddmadapter.New(d, ddmadapter.WithStatusStore(d))
	if err != nil {
		panic(err) // only an option gives one, and these give none
	}
	return adapter
}

// DeclarativeManagement meets service.Checkin. Only the device channel of an active
// enrolment is managed by declarations. Nothing runs in a unit of work but what takes in
// a status report, for the rest only reads.
// Source: https://developer.apple.com/documentation/devicemanagement/declarativemanagementrequest
func (s *Service) DeclarativeManagement(r *mdm.Request, m *mdm.DeclarativeManagement) ([]byte, error) {
	c, resolved, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return nil, err
	}
	if c.State != ward.EnrolmentActive {
		return nil, refuse(http.StatusForbidden, fmt.Errorf("declarative management of an enrolment that is %s", c.State))
	}
	if s.declarations == nil || resolved.IsUserChannel {
		return nil, refuse(http.StatusNotFound, fmt.Errorf("declarative management of %.100q is not offered", m.Endpoint))
	}
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: string(c.Device), Via: ward.ViaDevice, Device: c.Device})
	ctx = fleet.WithContact(ctx, c)
	switch path, ok := strings.CutPrefix(m.Endpoint, "declaration/"); {
	case ok:
		if _, _, err := ddm.ParseDeclarationPath(path); err != nil {
			return nil, refuse(http.StatusNotFound, err)
		}
	case m.Endpoint == "status":
		if ctx, err = withStatus(ctx, m.Data); err != nil {
			return nil, refuse(http.StatusBadRequest, err)
		}
	}
	answer, err := s.next.DeclarativeManagement(r.WithContext(ctx), m)
	if errors.Is(err, storage.ErrDeclarationNotFound) || errors.Is(err, ddmadapter.ErrUnknownDMEndpoint) || ward.KindOf(err) == ward.NotFound {
		return nil, refuse(http.StatusNotFound, err)
	}
	if errors.Is(err, errStatus) {
		return nil, refuse(http.StatusBadRequest, err)
	}
	return answer, err
}

// Declare makes the command that has a device compare its declarations with the set of
// this token, and that turns declarative management on where it is off.
// Source: https://developer.apple.com/documentation/devicemanagement/declarativemanagementcommand
func (c *Compiler) Declare(uuid, token string) (requestType string, body []byte, err error) {
	cmd, err := c.declare(uuid, token)
	if err != nil {
		return "", nil, err
	}
	body, err = plist.Marshal(cmd)
	return mdmcommands.DeclarativeManagementRequestType, body, err
}

func (c *Compiler) declare(uuid, token string) (any, error) {
	cmd := mdmcommands.NewDeclarativeManagementCommand(uuid)
	if c.Now == nil || token == "" {
		return cmd, nil
	}
	data, err := tokens(token, c.Now())
	if err != nil {
		return nil, err
	}
	cmd.Command.Data = &data
	return cmd, nil
}

// DeclaredPattern is the pattern of the requests that Declared serves.
const DeclaredPattern = declare.Path + "{enrolment}/{hash}/{mac}"

// Declared serves declared profiles under DeclaredPattern to whoever holds a link. What
// is wrong with a link has one face, 404, and is logged at debug only; that a good link
// can't be served now is a 503, so that the device tries again.
func (s *Service) Declared(l log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet { // each answer holds fresh values, so that one is not made for nothing
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		var profile []byte
		err := error(ward.Errorf(ward.NotFound, "Declarations are not offered."))
		if s.declarations != nil {
			profile, err = s.declarations.Profile(r.Context(), r.PathValue("enrolment"), r.PathValue("hash"), r.PathValue("mac"))
		}
		logger := ctxlog.Logger(r.Context(), l)
		switch {
		case ward.KindOf(err) == ward.NotFound:
			logger.Debug("msg", "declared profile", "http_status", http.StatusNotFound, "err", err)
			http.NotFound(w, r)
		case err != nil:
			logger.Info("msg", "declared profile", "http_status", http.StatusServiceUnavailable, "err", err)
			http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", profileType)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Write(profile) //nolint:errcheck,gosec // the device is gone, and asks again; what is written is no page
		}
	})
}

// profileType is the media type of a configuration profile.
const profileType = "application/x-apple-aspen-config"
