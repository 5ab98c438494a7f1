package bucket

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// credentialError says in our words what is wrong with the credentials, and where the site
// sets them. What the SDK says of it is not in its text.
type credentialError struct {
	text  string
	cause error
}

func (e *credentialError) Error() string { return e.text }
func (e *credentialError) Unwrap() error { return e.cause }

// finder is where credentials come from, which says what is missing if there are none.
type finder struct{ aws.CredentialsProvider }

func (f finder) Retrieve(ctx context.Context) (aws.Credentials, error) {
	found, err := f.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialError{missing(os.Getenv), err}
	}
	return found, err
}

// missing says what to set, when no credentials were found in an environment.
func missing(getenv func(string) string) string {
	const id, key = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
	switch hasID, hasSecret := getenv(id) != "", getenv(key) != ""; {
	case hasID && !hasSecret:
		return "credentials: " + id + " is set in the environment, and " + key + " is not"
	case hasSecret && !hasID:
		return "credentials: " + key + " is set in the environment, and " + id + " is not"
	case getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		return "credentials: none for the token of AWS_WEB_IDENTITY_TOKEN_FILE: look at that file and at AWS_ROLE_ARN"
	case getenv("AWS_PROFILE") != "":
		return "credentials: none by the profile that AWS_PROFILE names: look at it in the files of the AWS tools"
	}
	return "credentials: there are none: set " + id + " and " + key + " in the environment of the service, or give them by ~/.aws/credentials or the machine's role"
}

// refused are the answers of a store that does not take credentials, by their codes.
var refused = map[string]string{
	"InvalidAccessKeyId":    "the store does not know the access key: look at AWS_ACCESS_KEY_ID, or what stands for it",
	"SignatureDoesNotMatch": "the store does not take the secret of the access key: look at AWS_SECRET_ACCESS_KEY, or what stands for it",
	"ExpiredToken":          "the session token has ended: renew AWS_SESSION_TOKEN, or what stands for it",
	"InvalidToken":          "the store does not take the session token: look at AWS_SESSION_TOKEN, which keys that do not end must not have",
	"RequestTimeTooSkewed":  "the clock of this machine is not that of the store: set it",
	"AccessDenied":          "the store does not permit it with these credentials: give them the permissions that the manual lists",
}

// ofCredentials returns what err says of credentials, nil if it is of something else.
func ofCredentials(err error) error {
	if own, is := errors.AsType[*credentialError](err); is {
		return own
	}
	var said smithy.APIError
	if errors.As(err, &said) {
		if text, is := refused[said.ErrorCode()]; is {
			return &credentialError{"credentials: " + text + " (" + said.ErrorCode() + ")", err}
		}
	}
	return nil
}

// ofSettings says what is wrong with the settings of the AWS tools.
func ofSettings(err error) error {
	if _, is := errors.AsType[config.SharedConfigProfileNotExistError](err); is {
		return errors.New("bucket: AWS_PROFILE names a profile that the files of the AWS tools do not have")
	}
	return fmt.Errorf("bucket: settings of the AWS tools: %w", err)
}
