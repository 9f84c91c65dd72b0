package ca

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// Bounds on the orders of one challenge.
const (
	orderLife  = 15 * time.Minute // how long a device has for all of it
	openOrders = 5                // that wait for the device at one time
	allOrders  = 50               // that are kept, whatever became of them
	orderTries = 8                // to get a number when others ask for one too
	// keptOrders is how long an order is kept: until then the certificate can be had again.
	keptOrders = 24 * time.Hour
)

// OrderStatus is what became of an order (RFC 8555 section 7.1.6).
type OrderStatus string

// What becomes of an order.
const (
	OrderPending OrderStatus = "pending" // its challenge waits for an attestation
	OrderReady   OrderStatus = "ready"   // hardware has attested a key
	OrderValid   OrderStatus = "valid"   // its certificate was issued
	OrderInvalid OrderStatus = "invalid" // the attestation was refused
)

// Order is one attempt to have a certificate by ACME: an order, its only authorization and
// that one's only challenge (RFC 8555 section 7.1). The three share an id.
type Order struct {
	ID        string
	Challenge string // SHA-256 of the secret in the directory's address, hexadecimal
	Number    int    // among the orders of one challenge, from 1
	Account   string // by the thumbprint of its key (RFC 7638)
	// Identifier is the permanent-identifier that was ordered.
	Identifier string
	Token      string // what the attestation has to be made for
	Status     OrderStatus
	Problem    string // why it is invalid, as a problem document (RFC 7807)
	Key        string // SHA-256 of the attested key, hexadecimal; empty until it is ready
	// Attested has the format from the beginning, the rest once it is ready.
	Attested    Attested
	Certificate string // serial of the certificate; empty until it is valid
	Answered    time.Time
	Created     time.Time
	Expires     time.Time
}

// open reports whether o still waits for its device.
func (o Order) open(now time.Time) bool {
	return (o.Status == OrderPending || o.Status == OrderReady) && now.Before(o.Expires)
}

// NonceBucket is where Once remembers the nonces of ACME that were used.
const NonceBucket = "acme nonce"

// Orders keeps the orders of ACME. Each method joins the unit of work in ctx.
type Orders interface {
	// InsertOrder adds o, and reports false when its challenge has an order of this number.
	InsertOrder(ctx context.Context, o Order) (bool, error)
	// Order finds an order; none is a *ward.Error of kind NotFound.
	Order(ctx context.Context, id string) (Order, error)
	// OrdersOf lists the orders of a challenge by its hash, in order of their numbers.
	OrdersOf(ctx context.Context, challenge string) ([]Order, error)
	// ChangeOrder stores what o says from Status on if the order has the status from still,
	// and reports whether it did.
	ChangeOrder(ctx context.Context, o Order, from OrderStatus) (bool, error)
	// PurgeOrders forgets the orders made before t, and the nonces used before used, and
	// reports how many they were.
	PurgeOrders(ctx context.Context, t, used time.Time) (int64, error)
}

// PurgeACME forgets what ACME needs no longer: orders, and nonces that are too old to be
// taken anyway. Call it every hour or so.
func (a *Authority) PurgeACME(ctx context.Context) (int64, error) {
	now := a.o.Now()
	return a.o.Store.PurgeOrders(ctx, now.Add(-keptOrders), now.Add(-2*nonceLife))
}

// insert numbers o and adds it, within a unit of work. Two that take the same number at
// the same time see each other's order by that, so no more than openOrders are open.
func (a *Authority) insert(ctx context.Context, o *Order) error {
	for range orderTries {
		all, err := a.o.Store.OrdersOf(ctx, o.Challenge)
		if err != nil {
			return err
		}
		open := 0
		o.Number = 1
		for _, other := range all {
			if other.open(o.Created) {
				open++
			}
			o.Number = other.Number + 1
		}
		if open >= openOrders || len(all) >= allOrders {
			break
		}
		if fresh, err := a.o.Store.InsertOrder(ctx, *o); err != nil || fresh {
			return err
		}
	}
	return errManyOrders
}

var errManyOrders = ward.Errorf(ward.Conflict, "There are too many orders for this challenge: finish one, or try again later.")
