package store

import (
	"bytes"
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

// Answers reads what devices answered to commands.
type Answers struct{ *DB }

var _ lost.Answers = Answers{}

// Answers returns the store of answers.
func (db *DB) Answers() Answers { return Answers{db} }

// Raw meets lost.Answers. What is sealed, because it holds a location or a secret, is not
// given: a property list in XML begins with a bracket, and nothing that is sealed does so but
// by a chance of one in 256, which the second look at its beginning takes away.
func (a Answers) Raw(ctx context.Context, uuid string, e ward.EnrolmentID) ([]byte, error) {
	var raw []byte
	if err := a.row(ctx, `SELECT answer FROM command WHERE uuid = $1 AND enrolment_id = $2`, uuid, string(e)).Scan(&raw); err != nil {
		return nil, missing(err, "There is no command %s for this enrolment.", uuid)
	}
	head := bytes.TrimLeft(raw, "\ufeff \t\r\n")
	if !bytes.HasPrefix(head, []byte("<?xml")) && !bytes.HasPrefix(head, []byte("<!DOCTYPE")) && !bytes.HasPrefix(head, []byte("<plist")) {
		return nil, ward.Errorf(ward.NotFound, "The answer to the command %s is not kept, or sealed.", uuid)
	}
	return raw, nil
}
