// Starts `ebpffix-lsp` and hands it to the editor. What to start, and whether to load programs, is for the user to say:
// both settings have the scope "machine", so that no workspace can set them.
'use strict';

const { workspace } = require('vscode');
const { LanguageClient } = require('vscode-languageclient/node');

const LANGUAGES = ['c', 'cpp', 'python', 'go', 'lua'];
const SCHEMES = ['file', 'untitled'];

let client;

exports.activate = () => {
  const settings = workspace.getConfiguration('ebpffix');
  const server = { command: settings.get('command') };
  const selector = LANGUAGES.flatMap((language) => SCHEMES.map((scheme) => ({ language, scheme })));
  client = new LanguageClient('ebpffix', server, {
    documentSelector: selector,
    initializationOptions: { verify: workspace.isTrusted && settings.get('verify') },
  });
  return client.start();
};

exports.deactivate = () => client && client.stop();
