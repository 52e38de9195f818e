-- Specs (*.param) in Neovim 0.11 or newer: the language server and its hints.
vim.filetype.add({ extension = { param = "abcparam" } })

vim.lsp.config("abcparam", {
  cmd = { "abcparam", "lsp" },
  filetypes = { "abcparam" },
  root_markers = { ".git" },
  on_attach = function(_, buffer)
    vim.bo[buffer].commentstring = "# %s"
    vim.lsp.inlay_hint.enable(true, { bufnr = buffer })
  end,
})
vim.lsp.enable("abcparam")
