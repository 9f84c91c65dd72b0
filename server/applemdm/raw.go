package applemdm

import (
	"maps"
	"slices"
	"strings"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
)

// maxRaw bounds a raw command, none of which carries a profile or an app.
const maxRaw = 64 << 10

// ReadRaw reads a command that a script hands in and checks that it is one of those
// that change and take nothing. Errors are *ward.Error.
func ReadRaw(raw []byte) (*mdm.Command, error) {
	if len(raw) > maxRaw {
		return nil, ward.Errorf(ward.Invalid, "The command is larger than %d bytes.", maxRaw)
	}
	if err := guard(raw); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The body is not a command: %v.", err)
	}
	cmd, err := decodeCommand(raw)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The body is not a command property list with a CommandUUID and a Command with a RequestType.").Because(err)
	}
	if len(cmd.CommandUUID) > 128 || strings.TrimSpace(cmd.CommandUUID) != cmd.CommandUUID {
		return nil, ward.Errorf(ward.Invalid, "The CommandUUID %.40q is too long or has spaces around it.", cmd.CommandUUID)
	}
	if !harmless[cmd.Command.RequestType] {
		return nil, ward.Errorf(ward.Forbidden, "%.60q can't be queued raw. What changes a device goes through a policy, a lost case or an order; raw are only: %s.",
			cmd.Command.RequestType, strings.Join(slices.Sorted(maps.Keys(harmless)), ", "))
	}
	return cmd, nil
}

func decodeCommand(raw []byte) (*mdm.Command, error) {
	if root, ok := quick(raw); ok {
		if cmd, ok := quickCommand(&root, raw); ok {
			return cmd, nil
		}
	}
	return mdm.DecodeCommand(raw)
}
