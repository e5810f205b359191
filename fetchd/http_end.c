#include "fetchd/http_end.h"

/* System */
#include <ctype.h>
#include <string.h>

/* What curl says, what that means, and how a person is told; NULL: in curl's own words. */
static const struct {
	CURLcode code;
	enum http_end end;
	const char *text;
} ends[] = {
    {CURLE_OK, HTTP_WHOLE, ""},
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_NO_ADDRESS, "the name of the host cannot be resolved"},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_NO_ADDRESS, "the name of the proxy cannot be resolved"},
    {CURLE_COULDNT_CONNECT, HTTP_NO_CONNECTION, NULL},
    {CURLE_PROXY, HTTP_NO_CONNECTION, NULL},
    {CURLE_OPERATION_TIMEDOUT, HTTP_NO_CONNECTION, "no connection within the time for it"},
    {CURLE_SSL_CONNECT_ERROR, HTTP_NO_TLS, NULL},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CACERT_BADFILE, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CERTPROBLEM, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CIPHER, HTTP_NO_TLS, NULL},
    {CURLE_SSL_INVALIDCERTSTATUS, HTTP_NO_TLS, NULL},
    {CURLE_SSL_ISSUER_ERROR, HTTP_NO_TLS, NULL},
    {CURLE_SEND_ERROR, HTTP_BROKEN_OFF, NULL},
    {CURLE_RECV_ERROR, HTTP_BROKEN_OFF, NULL},
    {CURLE_GOT_NOTHING, HTTP_BROKEN_OFF, "the connection was closed without an answer"},
    {CURLE_PARTIAL_FILE, HTTP_BROKEN_OFF, "the connection was closed before the end of the body"},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_REFUSED, NULL},
    {CURLE_UNSUPPORTED_PROTOCOL, HTTP_REFUSED, "the answer is no HTTP/1.1"},
};

/* "Recv failure: Connection reset by peer" is "connection reset by peer" in our words; "SSL ..." stays as it is. */
static void say_error(const char *prefix, const char *text, struct reason *ret_why)
{
	static const char *const noise[] = {"Recv failure: ", "Send failure: "};
	for (size_t i = 0; i < 2; i++)
		if (strncmp(text, noise[i], strlen(noise[i])) == 0)
			text += strlen(noise[i]);
	bool is_word = prefix[0] == '\0' && isupper((unsigned char)text[0]) && islower((unsigned char)text[1]);
	reason_set(ret_why, "%s%c%s", prefix, is_word ? tolower((unsigned char)text[0]) : text[0],
		   text[0] != '\0' ? text + 1 : "");
}

enum http_end http_end_of(CURLcode code, const char *text, int os_error, bool connected, struct reason *ret_why)
{
	enum http_end end = HTTP_FAILED;
	const char *words = NULL;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i].code == code) {
			end = ends[i].end;
			words = ends[i].text;
		}
	if (code == CURLE_OPERATION_TIMEDOUT && connected) {
		end = HTTP_STALLED;
		words = "the answer was not complete within the time for it";
	} else if (code == CURLE_COULDNT_CONNECT && os_error != 0) {
		words = strerror(os_error);
	} else if (!words) {
		words = text[0] != '\0' ? text : curl_easy_strerror(code);
	}
	say_error(end == HTTP_NO_TLS ? "TLS: " : "", words, ret_why);
	/* libcurl 7.88 has no code of its own for broken chunks. */
	return code == CURLE_RECV_ERROR && strstr(text, "chunked-encoding") ? HTTP_REFUSED : end;
}
