package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// How long a session lasts where nothing else is set: at most, and without a request.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = 2 * time.Hour
)

// What a session holds. Times are in Unix seconds.
const (
	personKey   = "person"
	sessionKey  = "session" // what it is called, for people
	howKey      = "how"     // by what its person proved who they are
	withKey     = "with"    // the slug of the provider
	provedKey   = "proved"  // when they last did
	begunKey    = "begun"   // when they signed in
	linkKey     = "link"    // when it was begun by a one-time link
	seenKey     = "seen"    // when it was last used, to the minute
	turnedKey   = "turned"  // when it got its token
	rolesKey    = "roles"   // what its person could do when it got its token
	factorKey   = "factor"  // set while its person has to set up a second factor
	flashKey    = "flash"
	pendingKey  = "pending"  // a person who has told the right passphrase, and no code yet
	flightKey   = "flight"   // what is kept while somebody is at a provider
	questionKey = "question" // what a passkey was asked
	nextKey     = "next"     // where they were going
	secretKey   = "secret"   // of an authenticator app that is being set up
)

const (
	// linkTrust is how long someone who came by a link may choose a passphrase without
	// telling the old one.
	linkTrust = 15 * time.Minute
	// touchEvery is how exactly it is known when a session was last used: noting it is a write.
	touchEvery = time.Minute
	// turnEvery is how often a session gets a new token.
	turnEvery = time.Hour
)

// newSessions makes the manager without scs.New, which starts a goroutine for a store
// in memory that nobody stops. How long a session may be idle is seen to here, as scs would
// write at each request.
func (s *Server) newSessions() *scs.SessionManager {
	name := "ward"
	if s.Secure {
		name = "__Host-ward" // browsers keep it to this host, this path and https
	}
	return &scs.SessionManager{
		Lifetime: cmp.Or(s.Accounts.Life, sessionLife), Store: s.Sessions, Codec: scs.GobCodec{},
		Cookie:    scs.SessionCookie{Name: name, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode, Persist: false},
		ErrorFunc: s.fail,
	}
}

// seated runs a handler within a session, which the store is told of.
func (s *Server) seated(next http.Handler) http.Handler {
	inner := s.sessions.LoadAndSave(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, _ := access.WithSitting(r.Context())
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
}

// signedInActor returns whom the session stands for, with the roles they have now; the
// zero Actor for a visitor, or for someone who may no longer act.
func (s *Server) signedInActor(ctx context.Context) (ward.Actor, error) {
	id := s.sessions.GetString(ctx, personKey)
	if id == "" {
		return ward.Actor{}, nil
	}
	now := s.Now()
	// The manager's own deadline moves with each new token; this one stays.
	if now.Sub(s.since(ctx, begunKey)) >= cmp.Or(s.Accounts.Life, sessionLife) || now.Sub(s.since(ctx, seenKey)) >= cmp.Or(s.Accounts.Idle, sessionIdle) {
		return ward.Actor{}, s.sessions.Destroy(ctx)
	}
	a, err := s.Access.Actor(ctx, ward.PersonID(id), ward.ViaSession)
	if ward.KindOf(err) == ward.Unauthenticated {
		return ward.Actor{}, s.sessions.Destroy(ctx)
	}
	if err != nil {
		return a, err
	}
	if roles := rolesWord(a); roles != s.sessions.GetString(ctx, rolesKey) || now.Sub(s.since(ctx, turnedKey)) >= turnEvery {
		return a, s.turn(ctx, a, false)
	}
	if now.Sub(s.since(ctx, seenKey)) >= touchEvery {
		s.sessions.Put(ctx, seenKey, now.Unix())
	}
	return a, nil
}

func (s *Server) since(ctx context.Context, key string) time.Time {
	return time.Unix(s.sessions.GetInt64(ctx, key), 0)
}

func rolesWord(a ward.Actor) string {
	list := make([]string, len(a.Roles))
	for i, r := range a.Roles {
		list[i] = string(r)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// turn gives the session a new token, so that one who learned the old one has little of it.
// Unless it is at once, the old one is good for a moment: other requests are on their way.
func (s *Server) turn(ctx context.Context, a ward.Actor, atOnce bool) error {
	if st := access.SittingFrom(ctx); st != nil && st.Begin == nil {
		st.Rotate, st.AtOnce = true, st.AtOnce || atOnce
	}
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	now := s.Now().Unix()
	s.sessions.Put(ctx, seenKey, now)
	s.sessions.Put(ctx, turnedKey, now)
	s.sessions.Put(ctx, rolesKey, rolesWord(a))
	return nil
}

// enter makes the session stand for a person who has just proved who they are, under a new
// token so that one who knew the old token gains nothing. with is the slug of the provider.
func (s *Server) enter(r *http.Request, x access.Session, with string) error {
	ctx := r.Context()
	if err := s.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	a, err := s.Access.Actor(ctx, x.Person, ward.ViaSession)
	if err != nil {
		return err
	}
	x.Address, x.Browser = s.remote(r), browserName(r.UserAgent())
	access.SittingFrom(ctx).Begin = &x
	now := s.Now().Unix()
	for key, v := range map[string]string{personKey: string(x.Person), sessionKey: x.ID, howKey: string(x.How), withKey: with, rolesKey: rolesWord(a)} {
		s.sessions.Put(ctx, key, v)
	}
	for _, key := range []string{begunKey, provedKey, seenKey, turnedKey} {
		s.sessions.Put(ctx, key, now)
	}
	if x.How == access.ByLink {
		s.sessions.Put(ctx, linkKey, now)
	}
	account, err := s.Accounts.SignIn.Account(ctx, x.Person)
	if err != nil {
		return err
	}
	if s.Accounts.SignIn.NeedsFactor(account, x.How) {
		s.sessions.Put(ctx, factorKey, true)
	}
	return s.Accounts.SignIn.Begin(ctx, x)
}

// byLink reports whether the session was begun by a one-time link a moment ago.
func (s *Server) byLink(ctx context.Context) bool {
	at := s.sessions.GetInt64(ctx, linkKey)
	return at > 0 && s.Now().Sub(time.Unix(at, 0)) < linkTrust
}

// browserName says in short words which browser asks, for a list of sessions. What is not
// known is told as such: the header says what its sender likes.
func browserName(agent string) string {
	browser, system := "", ""
	for _, b := range [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(agent, b[0]) {
			browser = b[1]
			break
		}
	}
	for _, o := range [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"CrOS", "Chromebook"}, {"Linux", "Linux"}} {
		if strings.Contains(agent, o[0]) {
			system = o[1]
			break
		}
	}
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "" || system != "":
		return browser + system
	}
	return "Unknown browser"
}
