package server

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
)

// Console is the data folder of a server, opened by whoever may read its keys: the
// person who runs the machine. It works beside a running server.
type Console struct {
	Access *access.Service
	SignIn *access.SignIn

	db     *store.DB
	url    string
	config Config
	master *seal.Master
	log    *audit.Service
	now    func() time.Time
}

// OpenConsole opens a data folder that a server has used before. The keys must be in
// it, or at the paths that the configuration of the server named.
func OpenConsole(ctx context.Context, dataDir string) (*Console, error) {
	c := DefaultConfig()
	c.Data = dataDir
	return openConsole(ctx, c)
}

// OpenConsoleConfig opens what a configuration file names.
func OpenConsoleConfig(ctx context.Context, c Config) (*Console, error) { return openConsole(ctx, c) }

func openConsole(ctx context.Context, c Config) (*Console, error) {
	master := filepath.Join(c.keysDir(), "master.key")
	if _, err := os.Stat(master); err != nil {
		return nil, ward.Errorf(ward.NotFound, "%s is not the data folder of a server that has run: it has no keys.", c.Data)
	}
	now := func() time.Time { return time.Now().UTC() }
	m, err := seal.LoadMaster(master)
	if err != nil {
		return nil, err
	}
	url, err := c.database()
	if err != nil {
		return nil, err
	}
	if !store.IsServer(url) {
		if _, err := os.Stat(url); err != nil { // another one must not be made here in silence
			return nil, ward.Errorf(ward.NotFound, "%s holds no database: if the server keeps it elsewhere, name its configuration by --config.", c.Data)
		}
	}
	db, err := store.Open(ctx, store.Options{URL: url, Master: m, Now: now})
	if err != nil {
		return nil, err
	}
	o := &Console{db: db, config: c, master: m, now: now}
	if err := o.fill(ctx, c, m, now); err != nil {
		db.Close() //nolint:errcheck // the error that matters is the one above
		return nil, err
	}
	return o, nil
}

func (o *Console) fill(ctx context.Context, c Config, m *seal.Master, now func() time.Time) (err error) {
	if o.url, err = o.db.Setting(ctx, "public_url"); err != nil {
		return err
	}
	key, err := audit.LoadKey(filepath.Join(c.keysDir(), "audit.key"), auditName(o.url))
	if err != nil {
		return err
	}
	o.log, err = audit.New(audit.Config{Store: o.db.Audit(), Master: m, Key: key, Now: now})
	if err != nil {
		return err
	}
	if o.Access, err = access.New(access.Config{Store: o.db.Access(), Audit: o.log, Now: now}); err != nil {
		return err
	}
	rpID, origin, err := approver.RelyingParty(o.url)
	if err != nil {
		return err
	}
	o.SignIn, err = access.NewSignIn(access.SignInConfig{Access: o.Access, Store: o.db.SignIn(), RPID: rpID, Origin: origin})
	return err
}

// Context returns ctx with the console acting.
func (o *Console) Context(ctx context.Context) context.Context {
	return ward.WithActor(ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
}

// PublicURL returns the address of the server whose folder it is.
func (o *Console) PublicURL() string { return o.url }

// DB returns the database, for backing up and restoring.
func (o *Console) DB() *store.DB { return o.db }

// Close closes the folder.
func (o *Console) Close() error { return o.db.Close() }
