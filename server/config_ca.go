package server

import (
	"errors"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
)

// mistakes reports what is wrong with the authority's keys and with the outside authority.
func (c *CA) mistakes(bad func(field, format string, args ...any)) {
	if err := ca.CheckKeyPlace(c.IssuerKey); err != nil {
		bad("ca.issuer_key", "%v", err)
	}
	o := c.outside()
	if o == nil {
		if c.Outside != (Outside{}) {
			bad("ca.outside.url", "it is empty, but the outside authority has other settings")
		}
		return
	}
	if err, ok := errors.AsType[*ward.Error](o.Check()); ok {
		for _, m := range err.Details {
			field, what, _ := strings.Cut(m, ": ")
			bad("ca.outside."+field, "%s", what)
		}
	}
}

// outside returns the outside authority, nil if there is none.
func (c *CA) outside() *ca.Outside {
	if c.Outside.URL == "" {
		return nil
	}
	o := ca.Outside(c.Outside)
	return &o
}
